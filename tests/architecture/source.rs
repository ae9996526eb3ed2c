//! Rust source read as far as the rules need it: tokens without comments and test code, the modules
//! a file declares, the names it defines, the paths it names.
//!
//! Owns: reading one file. Does not own: what a path leads to, see `modules`.

use std::collections::BTreeSet;

/// A word, a mark or a text, with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word(String),
    /// One character; `::` counts as one and is written `:` twice.
    Mark(&'static str),
    Text(String),
}

/// A path as it is written, `use` declarations taken apart.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
}

/// A name that `use` brings into a module.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) name: String,
    pub(super) path: Vec<String>,
}

/// A method and the type it is of.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) of: String,
    pub(super) name: String,
}

/// What one module says of itself.
#[derive(Debug, Default)]
pub(super) struct Module {
    /// The modules declared here without a body; test modules are left out.
    pub(super) files: Vec<String>,
    pub(super) inline: Vec<(String, Module)>,
    pub(super) defined: BTreeSet<String>,
    pub(super) bindings: Vec<Binding>,
    pub(super) globs: Vec<Vec<String>>,
    pub(super) named: Vec<Named>,
    /// Methods of a type's own `impl` blocks; those of traits are left out.
    pub(super) methods: Vec<Method>,
    /// Methods that are called, by name.
    pub(super) calls: Vec<(String, usize)>,
}

const MARKS: [(char, &str); 27] = [
    ('{', "{"),
    ('}', "}"),
    ('(', "("),
    (')', ")"),
    ('[', "["),
    (']', "]"),
    (';', ";"),
    (',', ","),
    ('#', "#"),
    ('!', "!"),
    ('*', "*"),
    ('<', "<"),
    ('>', ">"),
    ('=', "="),
    ('.', "."),
    ('&', "&"),
    ('|', "|"),
    ('$', "$"),
    ('?', "?"),
    ('+', "+"),
    ('-', "-"),
    ('/', "/"),
    ('%', "%"),
    ('^', "^"),
    ('@', "@"),
    ('~', "~"),
    (':', ":"),
];

/// The tokens of `text`; comments are left out.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    let is_word = |c: char| c == '_' || c.is_alphanumeric();
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        let start = line;
        let mut push = |kind| found.push(Token { kind, line: start });
        if c == '\n' {
            line += 1;
            at += 1;
        } else if c.is_whitespace() {
            at += 1;
        } else if c == '/' && next == Some('/') {
            while chars.get(at).is_some_and(|c| *c != '\n') {
                at += 1;
            }
        } else if c == '/' && next == Some('*') {
            let mut depth = 0;
            loop {
                match (chars.get(at), chars.get(at + 1)) {
                    (Some('/'), Some('*')) => (depth, at) = (depth + 1, at + 2),
                    (Some('*'), Some('/')) => (depth, at) = (depth - 1, at + 2),
                    (Some('\n'), _) => (line, at) = (line + 1, at + 1),
                    (Some(_), _) => at += 1,
                    (None, _) => break,
                }
                if depth == 0 {
                    break;
                }
            }
        } else if let Some((end, content)) = raw_text(&chars, at) {
            line += content.matches('\n').count();
            at = end;
            push(Kind::Text(content));
        } else if c == '"' || (matches!(c, 'b' | 'c') && next == Some('"')) {
            at += if c == '"' { 1 } else { 2 };
            let mut content = String::new();
            while let Some(&c) = chars.get(at) {
                at += 1;
                match c {
                    '"' => break,
                    '\\' => {
                        line += usize::from(chars.get(at) == Some(&'\n'));
                        at += 1;
                    }
                    c => {
                        line += usize::from(c == '\n');
                        content.push(c);
                    }
                }
            }
            push(Kind::Text(content));
        } else if c == '\'' {
            // A lifetime, or a character.
            if next == Some('\\') {
                at += 3;
                while chars.get(at).is_some_and(|c| *c != '\'') {
                    at += 1;
                }
                at += 1;
            } else if chars.get(at + 2) == Some(&'\'') {
                at += 3;
            } else {
                at += 1;
                while chars.get(at).copied().is_some_and(is_word) {
                    at += 1;
                }
            }
        } else if is_word(c) {
            let from = at;
            while chars.get(at).copied().is_some_and(is_word) {
                at += 1;
            }
            let word: String = chars[from..at].iter().collect();
            let raw = word == "r" && chars.get(at) == Some(&'#');
            at += usize::from(raw);
            if !raw {
                push(Kind::Word(word));
            }
        } else if c == ':' && next == Some(':') {
            push(Kind::Mark("::"));
            at += 2;
        } else {
            if let Some((_, mark)) = MARKS.iter().find(|(known, _)| *known == c) {
                push(Kind::Mark(mark));
            }
            at += 1;
        }
    }
    found
}

/// A raw text that begins `at`: where it ends and what it says.
fn raw_text(chars: &[char], mut at: usize) -> Option<(usize, String)> {
    at += usize::from(matches!(chars.get(at), Some('b' | 'c')));
    if chars.get(at) != Some(&'r') {
        return None;
    }
    at += 1;
    let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
    at += hashes;
    if chars.get(at) != Some(&'"') {
        return None;
    }
    at += 1;
    let from = at;
    loop {
        if *chars.get(at)? == '"'
            && chars[at + 1..]
                .iter()
                .take(hashes)
                .filter(|c| **c == '#')
                .count()
                == hashes
        {
            return Some((at + 1 + hashes, chars[from..at].iter().collect()));
        }
        at += 1;
    }
}

/// A position in tokens, with what the readers below share.
struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Reader<'a> {
    fn word(&self, ahead: usize) -> Option<&'a str> {
        match &self.tokens.get(self.at + ahead)?.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    fn is(&self, ahead: usize, mark: &str) -> bool {
        self.tokens
            .get(self.at + ahead)
            .is_some_and(|token| matches!(&token.kind, Kind::Mark(it) if *it == mark))
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |token| token.line)
    }

    /// Behind the group that begins here, brackets of any kind counted.
    fn skip_group(&mut self) {
        let mut depth = 0;
        while let Some(token) = self.tokens.get(self.at) {
            self.at += 1;
            match token.kind {
                Kind::Mark("(" | "[" | "{") => depth += 1,
                Kind::Mark(")" | "]" | "}") => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Behind the item, statement, field or arm that begins here.
    fn skip_item(&mut self) {
        while self.is(0, "#") {
            self.at += 1;
            self.skip_group();
        }
        if self.word(0) == Some("pub") {
            self.at += 1;
            if self.is(0, "(") {
                self.skip_group();
            }
        }
        let first = self.word(0).unwrap_or_default();
        let to_semicolon = matches!(first, "use" | "const" | "static" | "type" | "let")
            && !(first == "const" && matches!(self.word(1), Some("fn" | "unsafe" | "async")));
        let item = to_semicolon
            || matches!(
                first,
                "mod"
                    | "fn"
                    | "struct"
                    | "enum"
                    | "impl"
                    | "trait"
                    | "async"
                    | "unsafe"
                    | "extern"
                    | "const"
                    | "macro_rules"
            );
        while self.at < self.tokens.len() {
            if self.is(0, ";") || (!item && self.is(0, ",")) {
                self.at += 1;
                return;
            }
            if self.is(0, "}") || self.is(0, ")") || self.is(0, "]") {
                return;
            }
            let block = self.is(0, "{");
            if block || self.is(0, "(") || self.is(0, "[") {
                self.skip_group();
                if block && !to_semicolon {
                    return;
                }
            } else {
                self.at += 1;
            }
        }
    }

    /// The attribute that begins here makes what follows test code.
    fn is_test_attribute(&self) -> bool {
        let mut end = Reader {
            tokens: self.tokens,
            at: self.at + 1,
        };
        end.skip_group();
        let words: Vec<&str> = self.tokens[self.at..end.at]
            .iter()
            .filter_map(|token| match &token.kind {
                Kind::Word(word) => Some(word.as_str()),
                _ => None,
            })
            .collect();
        match words.first() {
            Some(&"cfg") => words.contains(&"test") && !words.contains(&"not"),
            _ => words.last() == Some(&"test") || words.starts_with(&["tokio", "test"]),
        }
    }
}

/// What the module in `text` says of itself; `None` for a file that is test code as a whole.
pub(super) fn read(text: &str) -> Option<Module> {
    let tokens = tokens(text);
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
    };
    let mut module = Module::default();
    read_module(&mut reader, &mut module).then_some(module)
}

/// Reads up to the end of the module's body; whether it counts.
fn read_module(reader: &mut Reader<'_>, module: &mut Module) -> bool {
    // Braces that are open, and the type of the `impl` block at each.
    let mut open: Vec<Option<String>> = Vec::new();
    let mut implemented: Option<String> = None;
    while reader.at < reader.tokens.len() {
        if reader.is(0, "#") && reader.is(1, "!") && reader.is(2, "[") {
            reader.at += 1;
            if reader.is_test_attribute() {
                return false;
            }
            reader.at += 1;
            reader.skip_group();
        } else if reader.is(0, "#") && reader.is(1, "[") {
            let test = reader.is_test_attribute();
            reader.at += 1;
            reader.skip_group();
            if test {
                reader.skip_item();
            }
        } else if reader.is(0, "{") {
            open.push(implemented.take());
            reader.at += 1;
        } else if reader.is(0, "}") {
            reader.at += 1;
            if open.pop().is_none() {
                return true;
            }
        } else if reader.is(0, ".") && reader.word(1).is_some() {
            if reader.is(2, "(") || reader.is(2, "::") {
                let name = reader.word(1).unwrap_or_default().to_owned();
                module.calls.push((name, reader.line()));
            }
            reader.at += 2;
        } else if let Some(word) = reader.word(0) {
            let top = open.is_empty();
            match word {
                "pub" if reader.is(1, "(") => {
                    reader.at += 1;
                    reader.skip_group();
                }
                "mod" if reader.word(1).is_some() && reader.is(2, ";") => {
                    module.files.extend(reader.word(1).map(str::to_owned));
                    reader.at += 3;
                }
                "mod" if reader.word(1).is_some() && reader.is(2, "{") => {
                    let name = reader.word(1).unwrap_or_default().to_owned();
                    reader.at += 3;
                    let mut inner = Module::default();
                    if read_module(reader, &mut inner) {
                        module.inline.push((name, inner));
                    }
                }
                "use" if !reader.is(1, "<") => {
                    reader.at += 1;
                    read_use(reader, &mut Vec::new(), module, top);
                }
                "impl" if top => {
                    implemented = Some(implemented_type(reader));
                }
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union"
                    if reader.word(1).is_some() =>
                {
                    let name = reader.word(1).unwrap_or_default().to_owned();
                    if let (true, "fn", [Some(of)]) = (!top, word, open.as_slice()) {
                        if !of.is_empty() {
                            module.methods.push(Method {
                                of: of.clone(),
                                name,
                            });
                        }
                    } else if top
                        && word == "const"
                        && matches!(name.as_str(), "fn" | "async" | "unsafe")
                    {
                        reader.at += 1;
                        continue;
                    } else if top {
                        module.defined.insert(name);
                    }
                    reader.at += 2;
                }
                "macro_rules" if reader.is(1, "!") => {
                    module.defined.extend(reader.word(2).map(str::to_owned));
                    reader.at += 3;
                }
                _ => read_path(reader, module),
            }
        } else {
            reader.at += 1;
        }
    }
    true
}

/// The type of the `impl` block that begins here, by its last name; the reader stays in its head.
fn implemented_type(reader: &mut Reader<'_>) -> String {
    reader.at += 1;
    let mut ahead = Reader {
        tokens: reader.tokens,
        at: reader.at,
    };
    let (mut name, mut depth) = (String::new(), 0);
    while ahead.at < ahead.tokens.len() && !ahead.is(0, "{") && ahead.word(0) != Some("where") {
        if ahead.is(0, "<") {
            depth += 1;
        } else if ahead.is(0, ">") {
            depth -= 1;
        } else if ahead.word(0) == Some("for") && depth == 0 {
            // A trait's methods belong to whoever calls the trait.
            return String::new();
        } else if let (Some(word), 0) = (ahead.word(0), depth) {
            word.clone_into(&mut name);
        }
        ahead.at += 1;
    }
    name
}

/// A path of two names or more that begins here.
fn read_path(reader: &mut Reader<'_>, module: &mut Module) {
    let line = reader.line();
    let mut segments = Vec::new();
    let continues = reader.at > 0 && matches!(reader.tokens[reader.at - 1].kind, Kind::Mark("::"));
    while let Some(word) = reader.word(0) {
        segments.push(word.to_owned());
        reader.at += 1;
        if !reader.is(0, "::") || reader.word(1).is_none() {
            break;
        }
        reader.at += 1;
    }
    if segments.len() > 1 && !continues {
        module.named.push(Named { segments, line });
    }
}

/// The tree of a `use` declaration behind `before`.
fn read_use(reader: &mut Reader<'_>, before: &mut Vec<String>, module: &mut Module, top: bool) {
    let depth = before.len();
    if reader.is(0, "::") {
        reader.at += 1;
    }
    loop {
        let line = reader.line();
        if reader.is(0, "{") {
            reader.at += 1;
            while reader.at < reader.tokens.len() && !reader.is(0, "}") {
                read_use(reader, before, module, top);
                if reader.is(0, ",") {
                    reader.at += 1;
                }
            }
            reader.at += 1;
            break;
        } else if reader.is(0, "*") {
            reader.at += 1;
            if top {
                module.globs.push(before.clone());
            }
            module.named.push(Named {
                segments: before.clone(),
                line,
            });
            break;
        }
        let Some(word) = reader.word(0) else {
            reader.at += 1;
            break;
        };
        reader.at += 1;
        before.push(word.to_owned());
        if reader.is(0, "::") {
            reader.at += 1;
            continue;
        }
        if before.last().is_some_and(|last| last == "self") && before.len() > 1 {
            before.pop();
        }
        let mut name = before.last().cloned().unwrap_or_default();
        if reader.word(0) == Some("as") {
            name = reader.word(1).unwrap_or("_").to_owned();
            reader.at += 2;
        }
        module.named.push(Named {
            segments: before.clone(),
            line,
        });
        if top {
            module.bindings.push(Binding {
                name,
                path: before.clone(),
            });
        }
        break;
    }
    before.truncate(depth);
}
