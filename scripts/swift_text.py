"""What scripts/walls.py reads in Swift sources: declarations, calls, bodies. By lines and indentation, which the
formatter guarantees; no parser."""

import re

PUBLIC = re.compile(
    r"^\s*(?:@\w+(?:\([^)]*\))? )*public (?:(?:internal|private|fileprivate)\(set\) )?"
    r"(?:(?:static|final|mutating|nonmutating|nonisolated|indirect|convenience|required|override|lazy|weak|dynamic) )*"
    r"(struct|class|actor|enum|protocol|typealias|func|var|let|init|subscript|case|macro)\b[ ]?`?([\w<=>+*/%&|^!~-]*)`?")
PUBLIC_TYPE = re.compile(
    r"^(\s*)(?:@\w+(?:\([^)]*\))? )*public (?:(?:final|indirect|nonisolated) )*(struct|class|actor|enum|protocol) (\w+)"
    r"(?:<[^>]*>)?(?:: ([^{]*))?")
REQUIREMENT = re.compile(
    r"^\s*(?:@\w+(?:\([^)]*\))? )*(?:(?:static|mutating|nonmutating|nonisolated) )*"
    r"(func|var|init|subscript|associatedtype)\b[ ]?`?([\w<=>+*/%&|^!~-]*)`?")
MODIFIERS = (
    r"(?:@\w+(?:\([^)]*\))? |(?:public|package|internal|private|fileprivate|open|static|class|final|mutating"
    r"|nonmutating|nonisolated|indirect|convenience|required|override|lazy|weak|dynamic|prefix|postfix)"
    r"(?:\([a-z]+\))? )*")
DECLARED = re.compile(
    r"^\s*" + MODIFIERS + r"(func|struct|class|actor|enum|protocol|typealias|associatedtype) `?(\w+)`?")
# Of variables only those that are surely no local ones: what is `let` in a function has no access and no accessors.
DECLARED_VARIABLE = re.compile(
    r"^\s*(?:" + MODIFIERS + r"(?:public|package) (?:static )?(?:var|let) (\w+)"
    r"|(?:static )?var (\w+): [^{=]*\{ get )")
EXTENDED = re.compile(r"^\s*" + MODIFIERS + r"(?:struct|class|actor|enum|protocol|extension) ([\w.]+)")
PARAMETERS = re.compile(r"^\s*" + MODIFIERS + r"(?:func `?\w+`?|init[?!]?)(?:<[^(]*>)?\((.*)$")
CALLED = re.compile(r"(?<![\w`])`?(\w+)`?(?:<[\w.:, <>\[\]?]*>)?[?!]?\((?=\s*(?:(\w+):)?)")


class Uses:
    """What the sources name and call, apart from what they declare: a requirement of a protocol and its witnesses are
    declarations, and so is each overload."""

    def __init__(self, sources):
        self.words, self.declared, self.called, self.aliases, self.protocols = {}, {}, {}, {}, set()
        for lines in sources:
            code = [without_comment(line) for line in lines]
            for line in code:
                for word in re.findall(r"\w+", line):
                    self.words[word] = self.words.get(word, 0) + 1
                for pattern in (DECLARED, DECLARED_VARIABLE):
                    found = pattern.match(line)
                    if found:
                        name = found.group(found.lastindex)
                        self.declared[name] = self.declared.get(name, 0) + 1
                        if found.group(1) == "protocol":
                            self.protocols.add(name)
                found = re.search(r"\btypealias (\w+)(?:<[^>]*>)? = (?:\w+\.)*(\w+)", line)
                if found:
                    self.aliases.setdefault(found.group(2), set()).add(found.group(1))
            text = "\n".join(code)
            for found in CALLED.finditer(text):
                is_declared = found.group(1) == "init" and not text.endswith(".", 0, found.start())
                if not is_declared and not text.endswith("func ", 0, found.start()):
                    self.called.setdefault(found.group(1), set()).add(found.group(2))
            # Handed on by name, with its labels.
            for name, label in re.findall(r"(?<!func )\b(\w+)\((\w+):(?:\w+:)*\)", text):
                self.called.setdefault(name, set()).add(label)

    def of(self, name):
        return self.words.get(name, 0) > self.declared.get(name, 0)

    def calls(self, name, label):
        return label is None or label in self.called.get(name, ())

    def makes(self, owner, label):
        """`Owner(label:`, or `.init(label:` of whatever type: who is meant only the compiler knows."""
        if label is None:
            return True
        if owner in self.protocols:
            return any(label in labels for labels in self.called.values())
        names = {owner, "init", "Self"} | self.aliases.get(owner, set())
        return any(label in self.called.get(name, ()) for name in names)


def published(lines):
    """The public symbols of a file: the number of the line, the kind, the name, for an initialiser the type it makes, and
    the label by which a call is known: that of the first parameter, unless a call may leave it out."""
    types = []
    for number, line in enumerate(lines):
        code = without_comment(line).rstrip()
        if not code.strip():
            continue
        indent = len(code) - len(code.lstrip())
        while types and indent <= types[-1][0]:
            types.pop()
        found = PUBLIC.match(code)
        name = found.group(2).split("<")[0] if found else ""
        if found and found.group(1) == "init":
            yield number, "init", "", types[-1][1] if types else "", label_of(lines, number)
        elif re.fullmatch(r"\w+", name):
            yield number, found.group(1), name, "", label_of(lines, number) if found.group(1) == "func" else None
        opened = EXTENDED.match(code)
        if opened:
            types.append((indent, opened.group(1).split(".")[-1]))


def label_of(lines, number):
    found = PARAMETERS.match(without_comment(lines[number]))
    if not found:
        return None
    text = first_parameter(found.group(1).strip() or without_comment(lines[number + 1]).strip())
    named = re.match(r"(\w+)(?: \w+)?: ", text)
    # A call may leave out what has a value of its own, and a closure that stands behind it.
    if not named or named.group(1) == "_" or " = " in text or "->" in text:
        return None
    return named.group(1)


def first_parameter(text):
    """Up to the comma or the bracket that ends it."""
    depth = 0
    for place, letter in enumerate(text):
        if letter in "([":
            depth += 1
        elif depth == 0 and letter in ",)":
            return text[:place]
        elif letter in ")]":
            depth -= 1
    return text


def declarations(lines):
    """The public symbols of a file, and what is public because its type is: cases of enums, requirements of protocols.
    Yields the number of the line, the kind, the name, the (kind, name) of the protocol or enum it belongs to by such a
    rule, and the names of all that the type around it says it conforms to."""
    types = []
    for number, line in enumerate(lines):
        code = without_comment(line).rstrip()
        if not code.strip():
            continue
        indent = len(code) - len(code.lstrip())
        while types and indent <= types[-1][0]:
            types.pop()
        inside = types[-1] if types and indent == types[-1][0] + 4 else None
        conforms = inside[3] if inside else ()
        found = PUBLIC.match(code)
        if found:
            yield number, found.group(1), found.group(2), None, conforms
        elif inside and inside[1] == "enum" and code.lstrip().startswith(("case ", "indirect case ")):
            yield number, "case", "", inside[1:3], conforms
        elif inside and inside[1] == "protocol":
            found = REQUIREMENT.match(code)
            if found:
                yield number, found.group(1), found.group(2), inside[1:3], conforms
        opened = PUBLIC_TYPE.match(code)
        if opened and not code.endswith("}"):
            types.append((indent, opened.group(2), opened.group(3), re.findall(r"\w+", opened.group(4) or "")))


def is_commented(lines, number):
    """The line above the declaration and its attributes is of a comment for readers of the documentation."""
    above = number - 1
    while above >= 0 and re.fullmatch(r"\s*@\w+(?:\(.*\))?\s*", lines[above]):
        above -= 1
    return above >= 0 and lines[above].lstrip().startswith("///")


def without_comment(line):
    place = line.find("//")
    return line if place < 0 else line[:place]


def without_text(line):
    return re.sub(r'"(?:\\.|[^"\\])*"', '""', without_comment(line))


def function_end(lines, start, indent):
    """The line of the closing brace, by indentation: the formatter guarantees it. A declaration without a body ends at
    once."""
    opened = False
    for number in range(start, len(lines)):
        text = lines[number]
        if not opened:
            code = without_text(text).rstrip()
            if code.endswith("{"):
                opened = True
            elif "{" in code and "}" in code:
                return number
            elif number > start and code.strip() and not code.startswith(indent + " ") and not code.strip().startswith((")", "where", "->", "async", "throws", "{")):
                return start
            continue
        if text.rstrip() in (indent + "}", indent + "})") or (text.startswith(indent + "}") and not text.startswith(indent + "} else")):
            return number
    return len(lines) - 1 if opened else start
