//! The network as data: graph, weights, file format, naive exact evaluator
