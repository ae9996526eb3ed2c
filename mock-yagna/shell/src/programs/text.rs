//! Texts as a whole: `cat`, `head`, `tail`, `wc`, `tac`, `rev`, `nl`, `tee`.

use super::{Call, Options, Status, size};
use crate::stream::{Handle, Shared};

/// Narrowest columns of `wc` when the size is not known beforehand.
const UNKNOWN_WIDTH: usize = 7;

impl Call<'_, '_, '_> {
    pub(super) fn text(&mut self) -> Status {
        match self.name {
            "cat" => self.cat(),
            "head" | "tail" => self.part(),
            "wc" => self.wc(),
            "tee" => self.tee(),
            _ => self.turned(),
        }
    }

    fn cat(&mut self) -> Status {
        let options = self.options("nuAevT", "", &[("number", 'n')])?;
        let (inputs, status) = self.inputs(&options.operands, 1);
        let mut number = 0;
        for (_, input) in inputs {
            if options.has('n') {
                while let Some(line) = self.session.next_line(&input) {
                    number += 1;
                    self.out(format!("{number:6}\t"));
                    self.out(line);
                }
            } else {
                while let Some(data) = self.session.next_chunk(&input) {
                    self.out(data);
                }
            }
        }
        Ok(status)
    }

    fn part(&mut self) -> Status {
        // `-5` means `-n 5`.
        let mut args = self.args.to_vec();
        let count = |arg: &String| {
            arg.len() > 1 && arg.starts_with('-') && arg[1..].bytes().all(|b| b.is_ascii_digit())
        };
        if let Some(first) = args.first_mut().filter(|first| count(first)) {
            first.insert(1, 'n');
        }
        let long = [("lines", 'n'), ("bytes", 'c'), ("quiet", 'q')];
        let mut call = Call {
            args: &args,
            session: self.session,
            ..*self
        };
        let options = call.options("qvfF", "nc", &long)?;
        let tail = self.name == "tail";
        let in_bytes = options.value('c').is_some();
        let text = options.value('c').or(options.value('n')).unwrap_or("10");
        // `head -n -5`: all but the last five; `tail -n +5`: from the fifth on.
        let (turned, digits) = match text.strip_prefix(if tail { '+' } else { '-' }) {
            Some(digits) => (true, digits),
            None => (false, text.trim_start_matches(['+', '-'])),
        };
        let Some(count) = size(digits).and_then(|count| usize::try_from(count).ok()) else {
            let what = if in_bytes { "bytes" } else { "lines" };
            return Err(self.fail(1, format_args!("invalid number of {what}: '{text}'")));
        };
        let many = options.operands.len() > 1 && !options.has('q') || options.has('v');
        let (inputs, status) = self.inputs(&options.operands, 1);
        for (index, (path, input)) in inputs.into_iter().enumerate() {
            if many {
                let between = if index > 0 { "\n" } else { "" };
                let shown = if path == "-" { "standard input" } else { &path };
                self.out(format!("{between}==> {shown} <==\n"));
            }
            match (tail, turned) {
                (false, false) if in_bytes => self.first_bytes(&input, count),
                (false, false) => self.first_lines(&input, count),
                _ => self.rest(&input, in_bytes, count, tail, turned),
            }
        }
        Ok(status)
    }

    fn first_bytes(&mut self, input: &Shared, count: usize) {
        let mut left = count;
        input.lock().wanted = Some(count);
        while left > 0 {
            let Some(mut data) = self.session.next_chunk(input) else {
                break;
            };
            let part = data.split_to(left.min(data.len()));
            left -= part.len();
            self.out(part);
            self.session.put_back(input, data);
        }
    }

    fn first_lines(&mut self, input: &Shared, count: usize) {
        for _ in 0..count {
            match self.session.next_line(input) {
                Some(line) => self.out(line),
                None => break,
            }
        }
    }

    /// Everything but the beginning or the end.
    fn rest(&mut self, input: &Shared, in_bytes: bool, count: usize, tail: bool, turned: bool) {
        let content = self.session.read_all(input);
        let ends: Vec<usize> = if in_bytes {
            Vec::new()
        } else {
            let lines = content.split_inclusive(|byte| *byte == b'\n');
            lines
                .scan(0, |end, line| {
                    *end += line.len();
                    Some(*end)
                })
                .collect()
        };
        let total = if in_bytes { content.len() } else { ends.len() };
        let at = match (tail, turned) {
            (true, true) => count.saturating_sub(1).min(total),
            _ => total.saturating_sub(count),
        };
        let cut = match (in_bytes, at) {
            (true, at) => at,
            (false, 0) => 0,
            (false, at) => ends[at - 1],
        };
        let shown = if tail {
            &content[cut..]
        } else {
            &content[..cut]
        };
        self.out(shown);
    }

    fn wc(&mut self) -> Status {
        let long = [
            ("lines", 'l'),
            ("words", 'w'),
            ("bytes", 'c'),
            ("chars", 'm'),
        ];
        let options = self.options("lwcm", "", &long)?;
        let (inputs, status) = self.inputs(&options.operands, 1);
        let sizes = inputs.iter().map(|(_, input)| input.lock().file);
        let sizes: Option<Vec<usize>> = sizes.collect();
        let one = options.flags.len() == 1;
        let alone = inputs.len() <= 1 && options.operands.len() <= 1;
        let width = match sizes {
            _ if one && alone => 1,
            Some(sizes) => sizes.iter().sum::<usize>().to_string().len(),
            None => UNKNOWN_WIDTH,
        };
        let mut totals = [0; 4];
        let mut rows = Vec::new();
        for (path, input) in inputs {
            let content = self.session.read_all(&input);
            let words = content.split(|byte| byte.is_ascii_whitespace() || *byte == 11);
            let counts = [
                content.iter().filter(|byte| **byte == b'\n').count(),
                words.filter(|word| !word.is_empty()).count(),
                String::from_utf8_lossy(&content).chars().count(),
                content.len(),
            ];
            for (total, count) in totals.iter_mut().zip(counts) {
                *total += count;
            }
            let shown = if options.operands.is_empty() {
                String::new()
            } else {
                format!(" {path}")
            };
            rows.push((counts, shown));
        }
        if options.operands.len() > 1 {
            rows.push((totals, " total".to_owned()));
        }
        for (counts, name) in rows {
            let line = row(&options, &counts, width);
            self.out(format!("{line}{name}\n"));
        }
        Ok(status)
    }

    fn tee(&mut self) -> Status {
        let options = self.options("ai", "", &[("append", 'a')])?;
        let (mut handles, mut status) = (Vec::new(), 0);
        for path in &options.operands {
            match self.session.create(path, options.has('a')) {
                Ok(handle) => handles.push(handle),
                Err(why) => status = self.fail(1, format_args!("{path}: {why}")),
            }
        }
        let input = self.session.stdin();
        let output = self.session.scope.fds.get(&1).cloned();
        while let Some(data) = self.session.next_chunk(&input) {
            for handle in &handles {
                self.session.scope.fds.insert(1, Handle::clone(handle));
                self.out(&data);
            }
            match &output {
                Some(output) => self.session.scope.fds.insert(1, output.clone()),
                None => self.session.scope.fds.remove(&1),
            };
            self.out(data);
        }
        Ok(status)
    }

    /// `rev`, `tac`, `nl`.
    fn turned(&mut self) -> Status {
        let options = self.options("b", "b", &[])?;
        let (inputs, status) = self.inputs(&options.operands, 1);
        let mut number = 0;
        for (_, input) in inputs {
            if self.name == "tac" {
                let content = self.session.read_all(&input);
                let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
                let turned: Vec<&[u8]> = lines.into_iter().rev().collect();
                self.out(turned.concat());
                continue;
            }
            while let Some(line) = self.session.next_line(&input) {
                let text = String::from_utf8_lossy(&line).into_owned();
                let (text, end) = match text.strip_suffix('\n') {
                    Some(text) => (text, "\n"),
                    None => (text.as_str(), ""),
                };
                let shown = match self.name {
                    "rev" => format!("{}{end}", text.chars().rev().collect::<String>()),
                    _ if text.is_empty() => format!("       {end}"),
                    _ => {
                        number += 1;
                        format!("{number:6}\t{text}\n")
                    }
                };
                self.out(shown);
            }
        }
        Ok(status)
    }
}

/// The counts that were asked for, right-aligned.
fn row(options: &Options, counts: &[usize; 4], width: usize) -> String {
    let letters = ['l', 'w', 'm', 'c'];
    let usual = options.flags.is_empty();
    let shown = letters
        .iter()
        .zip(counts)
        .filter(|(letter, _)| options.has(**letter) || (usual && **letter != 'm'));
    let columns: Vec<String> = shown.map(|(_, count)| format!("{count:width$}")).collect();
    columns.join(" ")
}
