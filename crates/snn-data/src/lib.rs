//! Image data sets as ndarrays: CIFAR-10, CIFAR-100 and a procedural set
