"""Files of sentences for analyze and convert."""


def many_texts(tmp_path, count, name="many.txt", skip=0):
    """Different texts, enough to choose and to judge by."""
    subjects = ["The river", "A compiler", "Her sister", "The old clock", "Nobody", "A ship", "The road", "Every child"]
    verbs = ["follows", "forgets", "repairs", "carries", "describes", "measures", "crosses"]
    objects = ["the field", "a long letter", "its own shadow", "the last word", "two engines", "an open door"]
    lines = [f"{s} {v} {o}." for s in subjects for v in verbs for o in objects]
    path = tmp_path / name
    path.write_text("\n".join(lines[skip :: len(lines) // count][:count]) + "\n")
    return path


def long_texts(tmp_path, count):
    """The same, several to a line."""
    lines = many_texts(tmp_path, 300, "pool.txt").read_text().splitlines()
    path = tmp_path / "long.txt"
    path.write_text("".join(" ".join(lines[(7 * i + 11 * k) % 300] for k in range(6)) + "\n" for i in range(count)))
    return path
