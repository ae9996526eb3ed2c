//! The network's time: `date`, `sleep`, `uptime`.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Call, Status};
use crate::stream::Handle;

impl Call<'_, '_, '_> {
    pub(super) fn time(&mut self) -> Status {
        match self.name {
            "date" => self.date(),
            "sleep" => {
                let mut slept = Duration::ZERO;
                if self.args.is_empty() {
                    return Err(self.usage(1, "missing operand"));
                }
                for arg in self.args {
                    let Some(time) = duration(arg) else {
                        return Err(self.usage(1, format!("invalid time interval '{arg}'")));
                    };
                    slept = slept.saturating_add(time);
                }
                self.session.elapsed = self.session.elapsed.saturating_add(slept);
                Ok(0)
            }
            _ => {
                self.tells_the_time();
                let now = self.session.now().to_zoned_datetime(TimeZone::UTC);
                let now = jiff::fmt::strtime::format("%H:%M:%S", &now).unwrap_or_default();
                self.out(format!(
                    " {now} up 0 min,  0 users,  load average: 0.00, 0.00, 0.00\n"
                ));
                Ok(0)
            }
        }
    }

    /// Who reads the time may do something else at another; a file only holds it.
    fn tells_the_time(&self) {
        let output = self.session.scope.fds.get(&1);
        if !matches!(output, Some(Handle::File(_) | Handle::Null)) {
            self.session.remembers();
        }
    }

    fn date(&mut self) -> Status {
        let long = [
            ("utc", 'u'),
            ("date", 'd'),
            ("universal", 'u'),
            ("iso-8601", 'I'),
            ("reference", 'r'),
        ];
        let options = self.options("uRI", "dr", &long)?;
        self.tells_the_time();
        let mut now = self.session.now();
        if let Some(text) = options.value('d') {
            let seconds = text.strip_prefix('@').and_then(|s| s.parse::<i64>().ok());
            let given = match (text, seconds) {
                ("now" | "today" | "", _) => Some(now),
                (_, Some(seconds)) => Timestamp::from_second(seconds).ok(),
                _ => given(text),
            };
            let Some(given) = given else {
                return Err(self.fail(1, format_args!("invalid date '{text}'")));
            };
            now = given;
        }
        let usual = match () {
            () if options.has('R') => "%a, %d %b %Y %H:%M:%S +0000",
            () if options.has('I') => "%Y-%m-%d",
            () => "%a %b %e %H:%M:%S UTC %Y",
        };
        let format = match options.operands.first() {
            None => usual,
            Some(text) => match text.strip_prefix('+') {
                Some(format) => format,
                None => return Err(self.fail(1, format_args!("invalid date '{text}'"))),
            },
        };
        // Nine digits are what `%N` means here.
        let format = format.replace("%N", "%9f");
        match jiff::fmt::strtime::format(&format, &now.to_zoned_datetime(TimeZone::UTC)) {
            Ok(text) => {
                self.out(format!("{text}\n"));
                Ok(0)
            }
            Err(_) => {
                // What is not known is printed as it stands.
                self.out(format!("{format}\n"));
                Ok(0)
            }
        }
    }
}

/// A date with or without a time.
fn given(text: &str) -> Option<Timestamp> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    let text = text.trim_end_matches(" UTC").replace(' ', "T");
    let date = text.parse::<jiff::civil::DateTime>().ok().or_else(|| {
        let date = text.parse::<jiff::civil::Date>().ok()?;
        Some(date.at(0, 0, 0, 0))
    })?;
    Some(date.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp())
}

/// A time such as `1`, `0.5`, `2m` or `1h`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, factor) = match text.chars().last()? {
        's' => (&text[..text.len() - 1], 1.0),
        'm' => (&text[..text.len() - 1], 60.0),
        'h' => (&text[..text.len() - 1], 3600.0),
        'd' => (&text[..text.len() - 1], 86400.0),
        _ => (text, 1.0),
    };
    if number == "infinity" || number == "inf" {
        return Some(Duration::from_secs(u64::from(u32::MAX)));
    }
    let number = number.parse::<f64>().ok().filter(|number| *number >= 0.0)?;
    Duration::try_from_secs_f64(number * factor).ok()
}
