//! Sums and encodings: `md5sum` and its family, `cksum`, `base64`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{Call, Status};

impl Call<'_, '_, '_> {
    pub(super) fn digest(&mut self) -> Status {
        if self.name == "base64" {
            return self.base64();
        }
        let long = [
            ("check", 'c'),
            ("binary", 'b'),
            ("quiet", 'q'),
            ("status", 's'),
        ];
        let options = self.options("cbtqs", "", &long)?;
        let mut operands = options.operands.clone();
        if operands.is_empty() {
            operands.push("-".into());
        }
        let mut status = 0;
        for path in operands {
            let Some(input) = self.open(&path) else {
                status = 1;
                continue;
            };
            let content = self.session.read_all(&input);
            if options.has('c') {
                status |= self.check(&String::from_utf8_lossy(&content), options.has('q'));
            } else if self.name == "cksum" {
                let shown = if path == "-" {
                    String::new()
                } else {
                    format!(" {path}")
                };
                self.out(format!("{} {}{shown}\n", checksum(&content), content.len()));
            } else {
                let sum = self.sum(&content);
                self.out(format!("{sum}  {path}\n"));
            }
        }
        Ok(status)
    }

    fn sum(&self, content: &[u8]) -> String {
        match self.name {
            "md5sum" => hex::encode(Md5::digest(content)),
            "sha1sum" => hex::encode(Sha1::digest(content)),
            "sha512sum" => hex::encode(Sha512::digest(content)),
            _ => hex::encode(Sha256::digest(content)),
        }
    }

    fn check(&mut self, list: &str, quiet: bool) -> i32 {
        let mut failed = 0;
        for line in list.lines() {
            let Some((sum, path)) = line.split_once("  ") else {
                continue;
            };
            let Some(input) = self.open(path) else {
                self.out(format!("{path}: FAILED open or read\n"));
                failed += 1;
                continue;
            };
            let content = self.session.read_all(&input);
            let fine = self.sum(&content) == sum;
            failed += i32::from(!fine);
            if !fine || !quiet {
                self.out(format!("{path}: {}\n", if fine { "OK" } else { "FAILED" }));
            }
        }
        if failed > 0 {
            let plural = if failed == 1 { "" } else { "s" };
            let what = format!("WARNING: {failed} computed checksum{plural} did NOT match");
            self.complain(what);
        }
        i32::from(failed > 0)
    }

    fn base64(&mut self) -> Status {
        let long = [("decode", 'd'), ("wrap", 'w'), ("ignore-garbage", 'i')];
        let options = self.options("di", "w", &long)?;
        let width = options.value('w').unwrap_or("76").to_owned();
        let Ok(width) = width.parse::<usize>() else {
            return Err(self.fail(1, format_args!("invalid wrap size: '{width}'")));
        };
        let (inputs, status) = self.inputs(&options.operands, 1);
        for (_, input) in inputs {
            let mut content = self.session.read_all(&input);
            if options.has('d') {
                content.retain(|byte| !byte.is_ascii_whitespace());
                match STANDARD.decode(content) {
                    Ok(bytes) => self.out(bytes),
                    Err(_) => return Err(self.fail(1, "invalid input")),
                }
                continue;
            }
            let text = STANDARD.encode(content);
            let lines = text
                .as_bytes()
                .chunks(if width == 0 { usize::MAX } else { width });
            let end: &[u8] = if width == 0 { b"" } else { b"\n" };
            let lines: Vec<Vec<u8>> = lines.map(|line| [line, end].concat()).collect();
            self.out(lines.concat());
        }
        Ok(status)
    }
}

/// POSIX' sum of bytes and their count.
fn checksum(content: &[u8]) -> u32 {
    let step = |crc: u32, byte: u8| {
        (0..8).fold(crc ^ (u32::from(byte) << 24), |crc, _| {
            (crc << 1)
                ^ if crc & 0x8000_0000 != 0 {
                    0x04c1_1db7
                } else {
                    0
                }
        })
    };
    let mut crc = content.iter().fold(0, |crc, byte| step(crc, *byte));
    let mut length = content.len();
    while length > 0 {
        crc = step(crc, length.to_le_bytes()[0]);
        length >>= 8;
    }
    !crc
}
