//! What changes files: `cp`, `mv`, `rm`, `rmdir`, `mkdir`, `touch`, `chmod`, `mktemp`.

use super::{Call, Options, Status};
use rand::RngExt as _;

impl Call<'_, '_, '_> {
    pub(super) fn files(&mut self) -> Status {
        match self.name {
            "cp" | "mv" => self.copy(),
            "rm" | "rmdir" => self.remove(),
            "mkdir" => self.make_directories(),
            "touch" => self.touch(),
            "chmod" => self.chmod(),
            "mktemp" => self.make_temporary(),
            _ => Err(self.fail(1, "links are not simulated")),
        }
    }

    fn copy(&mut self) -> Status {
        let options = self.options("rRafpnvdi", "", &[("recursive", 'r'), ("force", 'f')])?;
        let Some((target, sources)) = options.operands.split_last() else {
            return Err(self.usage(1, "missing file operand"));
        };
        if sources.is_empty() {
            return Err(self.usage(
                1,
                format!("missing destination file operand after '{target}'"),
            ));
        }
        let moves = self.name == "mv";
        let deep = moves || ['r', 'R', 'a'].into_iter().any(|flag| options.has(flag));
        let absolute = self.session.path(target);
        let into = self.session.is_dir(&absolute);
        if sources.len() > 1 && !into {
            let known = self.session.exists(&absolute);
            let why = if known {
                "Not a directory"
            } else {
                "No such file or directory"
            };
            return Err(self.fail(1, format_args!("target '{target}': {why}")));
        }
        let mut status = 0;
        for source in sources {
            let from = self.session.path(source);
            let name = from.rsplit('/').next().unwrap_or_default();
            let (to, shown) = if into {
                let slash = if target.ends_with('/') { "" } else { "/" };
                (
                    format!("{}/{name}", absolute.trim_end_matches('/')),
                    format!("{target}{slash}{name}"),
                )
            } else {
                (absolute.clone(), target.clone())
            };
            let done = if self.session.is_dir(&from) {
                self.copy_directory(source, &from, &to, deep)
            } else {
                self.copy_file(source, &from, &to, &shown)
            };
            match done {
                Ok(()) if moves && from != to => {
                    self.session.remove_all(&from);
                }
                Ok(()) => {}
                Err(message) => status = self.fail(1, message),
            }
        }
        Ok(status)
    }

    fn copy_file(&mut self, source: &str, from: &str, to: &str, shown: &str) -> Result<(), String> {
        let Some(content) = self.session.read(from) else {
            let why = self
                .session
                .open(from)
                .err()
                .unwrap_or("No such file or directory");
            return Err(format!("cannot stat '{source}': {why}"));
        };
        if from == to {
            return Err(format!("'{source}' and '{shown}' are the same file"));
        }
        if self.session.is_dir(to) {
            return Err(format!(
                "cannot overwrite directory '{shown}' with non-directory"
            ));
        }
        let mode = self.session.machine.files.mode(from);
        self.session.write_file(to, content).map_err(|why| {
            if self.name == "mv" {
                format!("cannot move '{source}' to '{shown}': {why}")
            } else {
                format!("cannot create regular file '{shown}': {why}")
            }
        })?;
        if let Some(mode) = mode {
            self.session.machine.files.set_mode(to, mode);
        }
        Ok(())
    }

    fn copy_directory(
        &mut self,
        source: &str,
        from: &str,
        to: &str,
        deep: bool,
    ) -> Result<(), String> {
        if !deep {
            return Err(format!("-r not specified; omitting directory '{source}'"));
        }
        if to == from || to.starts_with(&format!("{from}/")) {
            return Err(format!(
                "cannot copy a directory, '{source}', into itself, '{to}'"
            ));
        }
        self.session.machine.files.make_dir(to);
        for path in self.walk(from) {
            let Some(rest) = path.strip_prefix(from) else {
                continue;
            };
            let (rest, path) = (format!("{to}{rest}"), path.clone());
            if self.session.is_dir(&path) {
                self.session.machine.files.make_dir(&rest);
            } else {
                self.copy_file(&path, &path, &rest, &rest)?;
            }
        }
        Ok(())
    }

    /// Everything below a path: as it was spelt, directories before what they have, files themselves.
    pub(super) fn walk(&mut self, begin: &str) -> Vec<String> {
        let mut left = vec![begin.to_owned()];
        let mut found = Vec::new();
        while let Some(path) = left.pop() {
            if !self.session.spend(path.len() + 16) {
                break;
            }
            let absolute = self.session.path(&path);
            if self.session.is_dir(&absolute) {
                let inside = path.trim_end_matches('/').to_owned();
                let names = self.session.names_in(&absolute);
                left.extend(
                    names
                        .into_iter()
                        .rev()
                        .map(|name| format!("{inside}/{name}")),
                );
            }
            found.push(path);
        }
        found
    }

    fn remove(&mut self) -> Status {
        let long = [("recursive", 'r'), ("force", 'f'), ("parents", 'p')];
        let options = self.options("rRfvdip", "", &long)?;
        let deep = options.has('r') || options.has('R');
        if options.operands.is_empty() {
            return if options.has('f') {
                Ok(0)
            } else {
                Err(self.usage(1, "missing operand"))
            };
        }
        let mut status = 0;
        for path in &options.operands {
            let absolute = self.session.path(path);
            let is_dir = self.session.is_dir(&absolute);
            if let Err(why) = self.may_remove(&options, &absolute, is_dir, deep) {
                if why == "No such file or directory" && options.has('f') {
                    continue;
                }
                let what = match self.name {
                    "rmdir" => format!("failed to remove '{path}': {why}"),
                    _ => format!("cannot remove '{path}': {why}"),
                };
                status = self.fail(1, what);
                continue;
            }
            self.session.remove_all(&absolute);
        }
        Ok(status)
    }

    fn may_remove(
        &mut self,
        options: &Options,
        path: &str,
        is_dir: bool,
        deep: bool,
    ) -> Result<(), &'static str> {
        let known = self.session.exists(path);
        let own = self.session.can_remove(path) || is_dir;
        match self.name {
            _ if !known => Err("No such file or directory"),
            _ if !own => Err("Permission denied"),
            "rmdir" if !is_dir => Err("Not a directory"),
            "rmdir" if !self.session.names_in(path).is_empty() => Err("Directory not empty"),
            "rm" if is_dir && !deep && !options.has('d') => Err("Is a directory"),
            _ => Ok(()),
        }
    }

    fn make_directories(&mut self) -> Status {
        let options = self.options("pv", "m", &[("parents", 'p')])?;
        if options.operands.is_empty() {
            return Err(self.usage(1, "missing operand"));
        }
        let mut status = 0;
        for path in &options.operands {
            let absolute = self.session.path(path);
            let parent = absolute.rsplit_once('/').map_or("", |(parent, _)| parent);
            let parent = if parent.is_empty() { "/" } else { parent };
            let parents = options.has('p');
            let blocked = absolute
                .match_indices('/')
                .skip(1)
                .map(|(at, _)| &absolute[..at]);
            let blocked = blocked
                .filter(|path| self.session.machine.files.contains(path))
                .count()
                > 0;
            let why = if self.session.is_dir(&absolute) {
                (!parents).then_some("File exists")
            } else if self.session.exists(&absolute) {
                Some("File exists")
            } else if blocked {
                Some("Not a directory")
            } else if !parents && !self.session.is_dir(parent) {
                Some("No such file or directory")
            } else {
                self.session.machine.files.make_dir(&absolute);
                None
            };
            if let Some(why) = why {
                status = self.fail(1, format_args!("cannot create directory '{path}': {why}"));
            }
        }
        Ok(status)
    }

    fn touch(&mut self) -> Status {
        let options = self.options("camh", "dtr", &[("no-create", 'c')])?;
        if options.operands.is_empty() {
            return Err(self.usage(1, "missing file operand"));
        }
        let mut status = 0;
        for path in &options.operands {
            let absolute = self.session.path(path);
            if self.session.is_dir(&absolute)
                || (options.has('c') && !self.session.exists(&absolute))
            {
                continue;
            }
            if let Err(why) = self.session.create(path, true) {
                status = self.fail(1, format_args!("cannot touch '{path}': {why}"));
            }
        }
        Ok(status)
    }

    fn chmod(&mut self) -> Status {
        // A mode such as `-x` is no option.
        let (mut mode, mut paths, mut deep) = (None, Vec::new(), false);
        for arg in self.args {
            match arg.as_str() {
                "-R" | "--recursive" => deep = true,
                "-v" | "-f" | "--" => {}
                _ if mode.is_none() => mode = Some(arg.clone()),
                _ => paths.push(arg.clone()),
            }
        }
        let Some(mode) = mode else {
            return Err(self.usage(1, "missing operand"));
        };
        if paths.is_empty() {
            return Err(self.usage(1, format!("missing operand after '{mode}'")));
        }
        if changed(0, &mode).is_none() {
            return Err(self.usage(1, format!("invalid mode: '{mode}'")));
        }
        if deep {
            paths = paths.iter().flat_map(|path| self.walk(path)).collect();
        }
        let mut status = 0;
        for path in paths {
            let absolute = self.session.path(&path);
            if !self.session.exists(&absolute) {
                let what = format!("cannot access '{path}': No such file or directory");
                status = self.fail(1, what);
                continue;
            }
            if let Some(old) = self.session.machine.files.mode(&absolute)
                && let Some(new) = changed(old, &mode)
            {
                self.session.machine.files.set_mode(&absolute, new);
            }
        }
        Ok(status)
    }

    fn make_temporary(&mut self) -> Status {
        let options = self.options("dqu", "p", &[("directory", 'd')])?;
        let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let template = options
            .operands
            .first()
            .map_or("/tmp/tmp.XXXXXXXXXX", String::as_str);
        let kept = template.trim_end_matches('X');
        let mut path = kept.to_owned();
        for _ in kept.len()..template.len() {
            let index = self.session.machine.rng.random_range(0..letters.len());
            path.push(char::from(letters[index]));
        }
        if options.has('d') {
            let absolute = self.session.path(&path);
            self.session.machine.files.make_dir(&absolute);
        } else if let Err(why) = self.session.create(&path, false) {
            let what = format!("failed to create file via template '{template}': {why}");
            return Err(self.fail(1, what));
        }
        self.out(format!("{path}\n"));
        Ok(0)
    }
}

/// The mode that `text` makes of `old`: octal, or `u+x` and its like.
fn changed(old: u32, text: &str) -> Option<u32> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777);
    }
    let mut mode = old;
    for clause in text.split(',') {
        let at = clause.find(['+', '-', '='])?;
        let (who, rest) = clause.split_at(at);
        let mask = who.chars().try_fold(0, |mask, who| match who {
            'u' => Some(mask | 0o700),
            'g' => Some(mask | 0o070),
            'o' => Some(mask | 0o007),
            'a' => Some(mask | 0o777),
            _ => None,
        })?;
        let mask = if who.is_empty() { 0o777 } else { mask };
        let bits = rest[1..].chars().try_fold(0, |bits, bit| match bit {
            'r' => Some(bits | 0o444),
            'w' => Some(bits | 0o222),
            'x' => Some(bits | 0o111),
            'X' => Some(bits | if old & 0o111 != 0 { 0o111 } else { 0 }),
            's' | 't' => Some(bits),
            _ => None,
        })?;
        mode = match rest.as_bytes()[0] {
            b'+' => mode | (bits & mask),
            b'-' => mode & !(bits & mask),
            _ => (mode & !mask) | (bits & mask),
        };
    }
    Some(mode)
}
