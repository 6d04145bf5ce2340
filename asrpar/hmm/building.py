"""From statistics to a tree: questions, splits, merges, and a report of them."""

from dataclasses import dataclass

from asrpar.errors import ConfigError
from asrpar.hmm.config import TreeConfig
from asrpar.hmm.nodes import resolved
from asrpar.hmm.questions import Question, clustered, read_questions
from asrpar.hmm.splitting import Growth, Rules, grow, merge, numbered
from asrpar.hmm.statistics import Statistics
from asrpar.hmm.tree import Tree
from asrpar.hmm.variants import marks, variants
from asrpar.log import get_logger

LOG = get_logger(__name__)
CENTRAL = 1  # place of the phone itself in the windows of trees with contexts


@dataclass
class Built:
    """A tree, and how it came about.

    Attributes:
        tree: with the states of the tree that the statistics are of.
        questions: that could be asked.
        growth: gains of splits and losses of merges.
        statistics: of all frames.
        unheard: (phone, pdf class) of roots that have no frames.
    """

    tree: Tree
    questions: list[Question]
    growth: Growth
    statistics: Statistics
    unheard: list[tuple[int, int]]

    @property
    def gain_per_frame(self) -> float:
        """Of log-likelihood, over one Gaussian for each root."""
        return (sum(self.growth.gains) - sum(self.growth.losses)) / self.statistics.frames


def build(mono: Tree, statistics: Statistics, config: TreeConfig) -> Built:
    """A tree with a root for each phone and pdf class of ``mono``.

    Args:
        mono: phones and states; its own leaves do not matter.
        statistics: of windows of ``config.width`` phones.
        config: checked settings.

    Raises:
        ConfigError: fewer leaves are asked for than there are roots.
        DataError: a file of questions that cannot be read.
    """
    phones, heard = mono.phones, statistics.by_root()
    group_of = variants(mono) if config.share_variants else {p: p for p in phones.ids}
    parts: dict[tuple[int, int], Statistics] = {}
    for phone, k in mono.roots:
        root, part = (group_of[phone], k), heard.get((phone, k), statistics.nothing)
        parts[root] = parts[root] + part if root in parts else part
    roots = list(parts)
    if config.leaves < len(roots):
        more = "" if config.share_variants else " (share_variants=true needs fewer where phones have stress or places)"
        raise ConfigError(
            f"leaves is {config.leaves}, but {len(phones)} phones have {len(roots)} states with a leaf each: ask for "
            f"at least {len(roots)}{more}, or take the monophone tree as it is"
        )
    unheard = [key for key, part in parts.items() if not len(part.keys)]
    if unheard:
        LOG.warning(
            "%d of %d states have no frames, and a leaf that nothing trains: %s",
            len(unheard), len(roots), " ".join(f"{phones.name(p)}.{k}" for p, k in unheard),
        )  # fmt: skip
    floor = config.variance_floor
    if config.questions:
        questions = read_questions(config.questions, phones)
    else:
        questions = clustered(statistics, mono, floor)
    if config.share_variants and not config.questions:
        questions = list(dict.fromkeys([*questions, *marks(phones)]))
    # Who is asked for itself: only where a root is of several phones does the answer vary.
    positions = [p for p in range(config.width) if p != CENTRAL or config.share_variants]
    frozen = [] if config.split_silence else [key for key in roots if phones.is_silence(key[0])]
    rules = Rules(round(config.leaves * config.grow), config.min_frames, config.min_gain, floor)
    growth = grow(parts, questions, positions, len(phones), rules, frozen)
    merge(growth, config.leaves, floor)
    states = [mono.states(p) for p in phones.ids]
    shared = numbered(growth, questions)
    own = {(p, k): resolved(shared[group_of[p], k], CENTRAL, p) for p, k in mono.roots}
    tree = Tree(phones, mono.topology, config.width, states, own)
    if tree.num_pdfs < config.leaves:
        LOG.warning(
            "the tree has %d leaves, not %d: no more splits leave %g frames on both sides and gain %g; lower "
            "min_frames or min_gain for more", tree.num_pdfs, config.leaves, config.min_frames, config.min_gain,
        )  # fmt: skip
    return Built(tree, questions, growth, statistics, unheard)


def report(built: Built) -> list[str]:
    """What was built, as lines for people: leaves, gain per frame, and what each phone has."""
    tree, growth, phones = built.tree, built.growth, built.tree.phones
    frames = built.statistics.frames
    lines = [
        f"frames {frames:.0f}",
        f"contexts {len(built.statistics.keys)}",
        f"questions {len(built.questions)}",
        f"roots {len(growth.trees)}",
        f"splits {len(growth.gains)}",
        f"merges {len(growth.losses)}",
        f"leaves {tree.num_pdfs}",
        f"gain_per_frame {built.gain_per_frame:.4f}",
    ]
    if growth.gains:
        lines.append(f"last_gain {growth.gains[-1]:.2f}")
    for key in built.unheard:
        lines.append(f"no_frames {phones.name(key[0])}.{key[1]}")
    lines += ["", "leaves  gain per frame  gain of the last split"]
    steps = sorted({*range(99, len(growth.gains), 100), len(growth.gains) - 1} if growth.gains else ())
    so_far = 0.0
    for n, each in enumerate(growth.gains):
        so_far += each
        if n in steps:
            lines.append(f"{len(growth.trees) + n + 1:6d}  {so_far / frames:14.4f}  {each:.2f}")
    lines += ["", "root  frames  leaves  frames of the leaves"]
    of_root: dict[tuple[int, int], dict[int, float]] = {key: {} for key in growth.trees}
    for leaf in growth.leaves:
        groups = of_root[leaf.root]
        groups[leaf.group] = groups.get(leaf.group, 0.0) + float(leaf.total[0])
    for (phone, k), groups in of_root.items():
        each_leaf = " ".join(f"{n:.0f}" for n in groups.values())
        lines.append(f"{phones.name(phone)}.{k}  {sum(groups.values()):.0f}  {len(groups)}  {each_leaf}")
    return lines
