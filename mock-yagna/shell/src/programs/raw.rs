//! Sizes and raw bytes: `stat`, `du`, `df`, `truncate`, `dd`.

use jiff::tz::TimeZone;

use super::listing::{human, mode_text};
use super::{Call, Options, Status, size};
use crate::files::CAPACITY;
use crate::stream::{Handle, Shared};

/// Largest file that `truncate` makes.
const LARGEST: u64 = 64 * 1024 * 1024;

impl Call<'_, '_, '_> {
    pub(super) fn raw(&mut self) -> Status {
        match self.name {
            "stat" => self.stat(),
            "du" => self.du(),
            "df" => self.df(),
            "truncate" => self.truncate(),
            _ => self.dd(),
        }
    }

    fn stat(&mut self) -> Status {
        let long = [("format", 'c'), ("dereference", 'L'), ("terse", 't')];
        let options = self.options("Lt", "c", &long)?;
        if options.operands.is_empty() {
            return Err(self.usage(1, "missing operand"));
        }
        let mut status = 0;
        for path in &options.operands {
            let absolute = self.session.path(path);
            if !self.session.exists(&absolute) {
                let what = format!("cannot statx '{path}': No such file or directory");
                status = self.fail(1, what);
                continue;
            }
            let usual = "  File: %n\n  Size: %s\t%F\nAccess: (%a/%A)  Uid: (0/root)   Gid: (0/root)\nModify: %y";
            let format = options.value('c').unwrap_or(usual);
            let text = self.stat_text(format, path, &absolute);
            self.out(text + "\n");
        }
        Ok(status)
    }

    fn stat_text(&self, format: &str, path: &str, absolute: &str) -> String {
        let is_dir = self.session.is_dir(absolute);
        let bytes = self.size_of(absolute);
        let mode = self.mode_of(absolute);
        let modified = self.session.modified(absolute);
        let modified = modified.unwrap_or(self.session.machine.now);
        let (mut text, mut chars) = (String::new(), format.chars());
        while let Some(c) = chars.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            match chars.next() {
                Some('s') => text += &bytes.to_string(),
                Some('n') => text += path,
                Some('a') => text += &format!("{mode:o}"),
                Some('A') => text += &mode_text(mode, is_dir),
                Some('F') => {
                    text += match bytes {
                        _ if is_dir => "directory",
                        0 => "regular empty file",
                        _ => "regular file",
                    }
                }
                Some('U' | 'G') => text += "root",
                Some('u' | 'g') => text += "0",
                Some('Y' | 'X' | 'Z') => text += &modified.as_second().to_string(),
                Some('y' | 'x' | 'z') => {
                    let zoned = modified.to_zoned_datetime(TimeZone::UTC);
                    let stamp = jiff::fmt::strtime::format("%Y-%m-%d %H:%M:%S.%9f +0000", &zoned);
                    text += &stamp.unwrap_or_default();
                }
                Some('%') => text.push('%'),
                Some(_) => text.push('?'),
                None => text.push('%'),
            }
        }
        text
    }

    fn du(&mut self) -> Status {
        let long = [("summarize", 's'), ("human-readable", 'h'), ("bytes", 'b')];
        let mut options = self.options("shbkamcx", "d", &long)?;
        if options.operands.is_empty() {
            options.operands.push(".".into());
        }
        let mut status = 0;
        for path in options.operands.clone() {
            let absolute = self.session.path(&path);
            if !self.session.exists(&absolute) {
                let what = format!("cannot access '{path}': No such file or directory");
                status = self.fail(1, what);
                continue;
            }
            let mut below = self.walk(&path);
            // A directory comes after what it has.
            below.reverse();
            for inner in &below {
                let is_dir = self.session.is_dir(&self.session.path(inner));
                let shown = inner == &path || (!options.has('s') && (is_dir || options.has('a')));
                if shown {
                    let inside = format!("{}/", inner.trim_end_matches('/'));
                    let parts = below
                        .iter()
                        .filter(|p| *p == inner || p.starts_with(&inside));
                    let bytes: usize = parts.map(|p| self.disk_size(&options, p)).sum();
                    let text = match () {
                        () if options.has('b') => bytes.to_string(),
                        () if options.has('h') => human(bytes),
                        () => bytes.div_ceil(1024).to_string(),
                    };
                    self.out(format!("{text}\t{inner}\n"));
                }
                if !self.session.spend(below.len() * 64) {
                    return Ok(1);
                }
            }
        }
        Ok(status)
    }

    fn disk_size(&self, options: &Options, path: &str) -> usize {
        let bytes = self.size_of(&self.session.path(path));
        if options.has('b') {
            bytes
        } else {
            bytes.div_ceil(4096) * 4096
        }
    }

    fn df(&mut self) -> Status {
        let options = self.options("hkmTPa", "", &[("human-readable", 'h')])?;
        let (all, used) = (CAPACITY, self.session.used());
        let percent = (used * 100).div_ceil(all);
        let show = |bytes: usize| {
            if options.has('h') {
                human(bytes)
            } else {
                (bytes / 1024).to_string()
            }
        };
        let head = if options.has('h') {
            "Filesystem      Size  Used Avail Use% Mounted on"
        } else {
            "Filesystem     1K-blocks      Used Available Use% Mounted on"
        };
        let (all, used, left) = (show(all), show(used), show(all - used));
        let row = if options.has('h') {
            format!(
                "{:<14} {all:>5} {used:>5} {left:>5} {percent:>3}% /",
                "overlay"
            )
        } else {
            format!(
                "{:<14} {all:>9} {used:>9} {left:>9} {percent:>3}% /",
                "overlay"
            )
        };
        self.out(format!("{head}\n{row}\n"));
        Ok(0)
    }

    fn truncate(&mut self) -> Status {
        let options = self.options("c", "s", &[("size", 's')])?;
        let Some(text) = options.value('s').map(str::to_owned) else {
            return Err(self.usage(1, "you must specify either '--size' or '--reference'"));
        };
        let Some(amount) =
            size(text.trim_start_matches(['+', '-'])).filter(|size| *size <= LARGEST)
        else {
            return Err(self.fail(1, format_args!("Invalid number: '{text}'")));
        };
        let amount = usize::try_from(amount).unwrap_or(0);
        let mut status = 0;
        for path in &options.operands {
            let mut content = self.session.read(path).unwrap_or_default().to_vec();
            let wanted = match text.chars().next() {
                Some('+') => content.len() + amount,
                Some('-') => content.len().saturating_sub(amount),
                _ => amount,
            };
            if !self.session.spend(wanted) {
                break;
            }
            content.resize(wanted, 0);
            if let Err(why) = self.session.write_file(path, content.into()) {
                status = self.fail(1, format_args!("cannot open '{path}' for writing: {why}"));
            }
        }
        Ok(status)
    }

    fn dd(&mut self) -> Status {
        let (mut from, mut to) = (None, None);
        let (mut block, mut count, mut skip, mut quiet, mut keep) = (512, None, 0, false, false);
        for arg in self.args {
            let (name, value) = arg.split_once('=').unwrap_or((arg, ""));
            let number = || size(value).ok_or_else(|| format!("invalid number: '{value}'"));
            let read = match name {
                "if" => {
                    from = Some(value.to_owned());
                    Ok(())
                }
                "of" => {
                    to = Some(value.to_owned());
                    Ok(())
                }
                "bs" | "ibs" | "obs" => number().map(|n| block = n),
                "count" => number().map(|n| count = Some(n)),
                "skip" => number().map(|n| skip = n),
                "status" => {
                    quiet = value == "none";
                    Ok(())
                }
                "conv" => {
                    keep = value.contains("notrunc");
                    Ok(())
                }
                "iflag" | "oflag" | "seek" => Ok(()),
                _ => Err(format!("unrecognized operand '{arg}'")),
            };
            if let Err(message) = read {
                return Err(self.usage(1, message));
            }
        }
        if block == 0 {
            return Err(self.fail(1, "invalid number: '0'"));
        }
        let input = match &from {
            None => self.session.stdin(),
            Some(path) => match self.session.open(path) {
                Ok(input) => input,
                Err(why) => {
                    return Err(self.fail(1, format_args!("failed to open '{path}': {why}")));
                }
            },
        };
        let before = self.session.scope.fds.get(&1).cloned();
        if let Some(path) = &to {
            match self.session.create(path, keep) {
                Ok(handle) => {
                    self.session.scope.fds.insert(1, handle);
                }
                Err(why) => {
                    return Err(self.fail(1, format_args!("failed to open '{path}': {why}")));
                }
            }
        }
        let most = count.map_or(u64::MAX, |count: u64| count.saturating_mul(block));
        self.move_bytes(&input, skip.saturating_mul(block), None);
        let moved = self.move_bytes(&input, most, Some(()));
        let failed = std::mem::take(&mut self.session.write_failed);
        match before {
            Some(before) => self.session.scope.fds.insert(1, before),
            None => self.session.scope.fds.remove(&1),
        };
        if failed {
            let path = to.unwrap_or_else(|| "standard output".into());
            return Err(self.fail(
                1,
                format_args!("error writing '{path}': No space left on device"),
            ));
        }
        if !quiet {
            let (whole, part) = (moved / block, u64::from(!moved.is_multiple_of(block)));
            let records = format!("{whole}+{part} records in\n{whole}+{part} records out\n");
            let plural = if moved == 1 { "" } else { "s" };
            let report = format!(
                "{records}{moved} byte{plural} copied, 0.001 s, {} MB/s",
                moved / 1000
            );
            self.session.complain(report);
        }
        Ok(0)
    }

    /// Moves bytes to standard output, or nowhere; answers how many.
    fn move_bytes(&mut self, input: &Shared, most: u64, write: Option<()>) -> u64 {
        let mut left = most;
        if most < u64::MAX {
            input.lock().wanted = usize::try_from(most).ok();
        }
        while left > 0 && !self.session.write_failed {
            let Some(mut data) = self.session.next_chunk(input) else {
                break;
            };
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
            let part = data.split_to(part);
            left -= part.len() as u64;
            self.session.put_back(input, data);
            if write.is_some() {
                // What goes nowhere costs nothing but its making.
                if !matches!(self.session.scope.fds.get(&1), Some(Handle::Null)) {
                    self.out(part);
                }
            }
        }
        most - left
    }
}
