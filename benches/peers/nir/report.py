"""What `compare.py` found, as Markdown."""

import textwrap


def table(head, rows):
    lines = ["| " + " | ".join(map(str, cells)) + " |" for cells in [head, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


OWN = "; the same as from its own equations"


def counted(found, expected):
    """A count, and how far it is from ours."""
    if found is None:
        return "not seen"
    apart = round(found - expected)
    return f"{round(found)}" + (f" ({apart:+d})" if apart else "")


def network(entry):
    names = list(entry["spikes"])
    rows = [["this project", "", *(round(entry["spikes"][n]) for n in names)]]
    for row in entry["rows"]:
        if "refused" in row:
            rows.append([row["library"], f"refused: {row['refused']}", *["–"] * len(names)])
            continue
        spikes = [counted(row["spikes"][n], entry["spikes"][n]) for n in names]
        own, library = row.get("from_its_equations"), row["library"]
        if own and row["spikes"] != entry["spikes"]:
            library += OWN if own == row["spikes"] else "; its own equations give others"
        rows.append([library, f"{row['equal']:.1%}", *spikes])
    title = f"### `{entry['network']}`, form `{entry['form']}`"
    options = f", `{entry['options']}`" if entry["options"] else ""
    return f"{title}{options}\n\n" + table(
        ["run by", "equal classes", *(f"spikes of `{n}`" for n in names)], rows
    )


def written(entries):
    rows = []
    for entry in entries:
        if "refused" in entry:
            rows.append([entry["library"], "–", f"refused: {entry['refused']}", "–"])
            continue
        read = ", ".join(f"{k} = {v}" for k, v in entry["read_with"].items())
        spikes = [
            f"`{name}`: {round(theirs)} there, {round(ours)} here"
            if ours is not None
            else f"`{name}`: {round(theirs)} there, not seen here"
            for name, (theirs, ours) in entry["spikes"].items()
        ]
        rows.append([entry["library"], read, f"{entry['equal']:.1%}", "; ".join(spikes)])
    return table(["written by", "read with", "equal classes", "spikes"], rows)


def neurons(entries):
    rows = []
    for entry in entries:
        for row in entry["rows"]:
            if "refused" in row:
                found = f"refused: {row['refused']}"
            elif "apart" in row:
                found = f"membranes at most {row['apart']:.1e} apart"
            elif row["differ"] == 0:
                found = f"all {round(row['spikes'])} spikes at the same steps"
            else:
                found = (
                    f"{round(row['spikes'])} spikes, of ours {round(entry['spikes'])}; "
                    f"{row['differ']} steps differ, the first is {row['first']}"
                )
            if row.get("differ") or row.get("apart", 0) > 1e-4:
                apart = row["from_its_equations"]
                found += f"; {apart:.0e} from its own equations" if apart else OWN
            rows.append([entry["neuron"], entry["form"], row["library"], found])
    return table(["neuron", "form", "library", "found"], rows)


def page(found):
    versions = ", ".join(f"{package} {version}" for package, version in found["versions"].items())
    parts = [
        "# NIR between libraries\n",
        f"`{found['command']}` at commit {found['commit']}, on {found['machine']}, Python "
        f"{found['python']}: {versions}. Numbers are in `peers.json`.\n",
        "## Files of this project\n",
        f"{found['images']} test images of CIFAR-10, six steps. *Equal classes* are those of this "
        "project's naive evaluator; spikes are sums over all images and steps, and in brackets how "
        "many more or fewer than ours.\n",
        *(network(entry) for entry in found["files"]),
        "## Files of the libraries\n",
        "The weights of `dense`, in a network that each library builds and writes itself; classes "
        "and spikes of its own run beside ours of its file.\n",
        written(found["written"]),
        "## Neurons over 1,000 random steps\n",
        neurons(found["neurons"]),
        CAUSES,
    ]
    return "\n".join(wrapped(part) for part in parts)


def wrapped(part):
    """A paragraph in lines of a hundred columns; other parts as they are."""
    if "\n" in part.rstrip() or part.startswith("#"):
        return part
    lines = textwrap.wrap(part, 100, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines) + "\n"


CAUSES = """## Causes of differences

`docs/nir.md` has the equations of each library. *Own equations* are those, computed from the file
by `benches/peers/nir/euler.py`: where they give what the library gives, the cause is theirs.

- **Precision.** The naive evaluator computes in f64, libraries in f32. A file in f32 says
  `v > v_threshold` of numbers of which none lies between the threshold of the file and that of the
  model, the next one; of potentials in f64 one in millions does, and a spike differs there. The
  equations in f64 fire from the next f32 on, and give what the naive evaluator gives.
- **sinabs** counts time in steps, so that files for it have a `dt` of 1; it takes no `r`, leaks by
  `e^(-1/tau)`, emits `floor(v/theta)` spikes at once and subtracts them. Its files, of layers with
  `norm_input=True`, `SingleSpike` and `MembraneReset`, are exact in exponential steps. It takes
  neurons of vectors alone: of images it fails at `any(v_leak)`, and it has no average pooling.
- **Norse** takes `r` for 1: files for it have it (`--unit`), and the LIF as written differs. Of an
  IF it takes `r*dt` for 1. It has no average pooling, and no LI and CubaLI. It writes `dt*tau` in
  place of `tau`, so that its file is read with `dt` squared.
- **snnTorch** has no step of time but 1e-4 s and no LI. Of an IF it refuses `r` other than 1; with
  1 it makes a neuron with a leak of 0.9 that fails at the next layer. What it imports keeps its
  state from one call to the next until `reset_hidden`. Neurons of the default threshold, a number,
  cannot be exported: its type check finds no shape that fits. Its Flatten, and Norse's, count the
  axis of the batch where NIR counts none; here they are moved by one.
- **SpikingJelly** fires at `v >= theta`, NIR above it: no potential here is exactly a threshold.
  It has no LI, and refuses an IF with `r` other than `1/dt`.

The networks that this project ships, `models/`, are on the grid, with soft resets whose leaks
round to integers at each step, and with max pooling of currents. No primitive of NIR does either,
so that they are refused; the networks here have hard resets and average pooling.
"""
