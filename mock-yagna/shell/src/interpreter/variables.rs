//! The builtins that change variables: `export`, `readonly`, `local`, `unset`, `read`.

use crate::session::{Session, Variable};
use crate::syntax::is_name;

impl Session<'_, '_> {
    pub(crate) fn declare(&mut self, kind: &str, args: &[String]) -> i32 {
        let shown = args.is_empty() || args == ["-p"];
        if shown {
            let quoted = |value: &str| format!("'{}'", value.replace('\'', "'\"'\"'"));
            let wanted = |v: &Variable| {
                if kind == "export" {
                    v.exported
                } else {
                    v.readonly
                }
            };
            let all = self.scope.variables.iter().filter(|(_, v)| wanted(v));
            let text: String = all
                .map(|(name, v)| format!("{kind} {name}={}\n", quoted(&v.value)))
                .collect();
            self.out(text);
            return 0;
        }
        for arg in args {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (arg.as_str(), None),
            };
            if !is_name(name) {
                self.fatal(format_args!("{kind}: {name}: bad variable name"));
                return self.status;
            }
            if let Some(value) = value
                && !self.assign(name, value.to_owned())
            {
                return self.status;
            }
            if value.is_none() && !self.scope.variables.contains_key(name) {
                continue;
            }
            let variable = self.scope.variables.entry(name.to_owned()).or_default();
            variable.exported |= kind == "export";
            variable.readonly |= kind == "readonly";
        }
        0
    }

    pub(crate) fn local(&mut self, args: &[String]) -> i32 {
        if self.scope.locals.is_empty() {
            self.fatal("local: not in a function");
            return self.status;
        }
        for arg in args {
            let (name, value) = arg.split_once('=').unwrap_or((arg, ""));
            if !is_name(name) {
                self.fatal(format_args!("local: {name}: bad variable name"));
                return self.status;
            }
            let before = self.scope.variables.get(name).cloned();
            if let Some(locals) = self.scope.locals.last_mut() {
                locals.push((name.to_owned(), before));
            }
            if arg.contains('=') && !self.assign(name, value.to_owned()) {
                return self.status;
            }
        }
        0
    }

    pub(crate) fn unset(&mut self, args: &[String]) -> i32 {
        let functions = args.first().is_some_and(|arg| arg == "-f");
        for name in args.iter().filter(|arg| !arg.starts_with('-')) {
            if functions {
                self.scope.functions.remove(name);
            } else if self.scope.variables.get(name).is_some_and(|v| v.readonly) {
                self.fatal(format_args!("unset: {name}: is read only"));
                return self.status;
            } else {
                self.scope.variables.remove(name);
            }
        }
        0
    }

    pub(crate) fn read_variables(&mut self, args: &[String]) -> i32 {
        let raw = args.iter().any(|arg| arg == "-r");
        let mut names: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
        let reply = "REPLY".to_owned();
        if names.is_empty() {
            names.push(&reply);
        }
        if let Some(bad) = names.iter().find(|name| !is_name(name)) {
            self.fatal(format_args!("read: {bad}: bad variable name"));
            return self.status;
        }
        let input = self.stdin();
        let (mut line, mut complete) = (String::new(), false);
        while let Some(bytes) = self.next_line(&input) {
            let text = String::from_utf8_lossy(&bytes);
            complete = text.ends_with('\n');
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let goes_on = !raw && complete && text.ends_with('\\') && !text.ends_with("\\\\");
            line += if goes_on {
                &text[..text.len() - 1]
            } else {
                text
            };
            if !goes_on {
                break;
            }
        }
        let mut plain = Vec::new();
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' if !raw => plain.extend(chars.next().map(|c| (c, true))),
                c => plain.push((c, false)),
            }
        }
        let values = fields_of(&plain, &self.separators(), names.len());
        for (index, name) in names.into_iter().enumerate() {
            let value = values.get(index).cloned().unwrap_or_default();
            if !self.assign(name, value) {
                return self.status;
            }
        }
        i32::from(!complete)
    }
}

/// The fields of a line for so many variables: the last one gets the rest. Escaped characters do not
/// separate.
fn fields_of(line: &[(char, bool)], separators: &str, count: usize) -> Vec<String> {
    let separates = |(c, escaped): &(char, bool)| !escaped && separators.contains(*c);
    let blank = |at: &(char, bool)| separates(at) && " \t\n".contains(at.0);
    let mut rest = line;
    let mut fields = Vec::new();
    while rest.first().is_some_and(blank) {
        rest = &rest[1..];
    }
    while fields.len() + 1 < count && !rest.is_empty() {
        let end = rest.iter().position(separates).unwrap_or(rest.len());
        fields.push(rest[..end].iter().map(|(c, _)| *c).collect());
        rest = &rest[end..];
        let mut hard = false;
        while let Some(at) = rest.first().filter(|at| separates(at)) {
            if !blank(at) {
                if hard {
                    break;
                }
                hard = true;
            }
            rest = &rest[1..];
        }
    }
    while rest.last().is_some_and(blank) {
        rest = &rest[..rest.len() - 1];
    }
    // A separator at the very end ends no field, if it is the only one.
    if let Some((last, before)) = rest.split_last()
        && separates(last)
        && !before.iter().any(separates)
    {
        rest = before;
    }
    fields.push(rest.iter().map(|(c, _)| *c).collect());
    fields
}
