def pixels(frame):
    """The input (eq. 1): pixels less the mean of their channel."""
    return frame.long() - torch.tensor(MEAN).view(1, -1, 1, 1)


def main():
    import numpy

    images = torch.from_numpy(numpy.load(sys.argv[1]))
    if images.dtype != torch.uint8:
        raise SystemExit(f"expected pixels of uint8, found {images.dtype}")
    lead = images.dim() - len(SHAPE)  # axes in front of those of one image
    if lead not in (0, 1, 2) or tuple(images.shape[lead:]) != SHAPE:
        raise SystemExit(f"expected images of shape {SHAPE}, found {tuple(images.shape)}")
    channels, *positions = SHAPE
    height, width = [1, 1, *positions][-2:]
    before = [1] * (2 - lead) + list(images.shape[:lead])
    frames = images.reshape(*before, channels, height, width)
    if len(frames) not in (1, T) or (FRAMES_ONLY and lead < 2):
        raise SystemExit(f"expected a frame for each of {T} macro-steps, found {lead} axes before")
    with torch.no_grad():
        scores = run(load_file(Path(__file__).with_name("weights.safetensors")), frames)
    for row in scores:
        best = int(row.argmax())
        print("scores", *row.tolist())
        print("logits", *(row.double() * LOGIT_UNIT).tolist())
        print("class", best, *CLASSES[best : best + 1])


if __name__ == "__main__":
    main()
