//! What a service or tasks that are written in the file cannot mean: commands that do nothing or two things at
//! once, expectations of what gives no output, names in braces that stand for nothing.
//!
//! Does not own: the grammar (`commands`).

use serde_saphyr::{Location, Spanned};

use crate::error::Error;
use crate::language::commands::{Command, PayloadSection, Values, fill};
use crate::language::{ProgramSection, Scenario, ServiceSection, TasksSection};

/// Most commands of one list.
const MOST_COMMANDS: usize = 1000;

impl Scenario {
    pub(super) fn check_written_service(&self, service: &ServiceSection) -> Result<(), Error> {
        let at = service.name.referenced;
        self.check_payload(service.payload.as_ref(), at)?;
        let values = Values {
            item: None,
            number: 1,
            name: &service.name.value,
        };
        for (key, list) in [("start", &service.start), ("stop", &service.stop)] {
            if let Some(list) = list {
                self.check_commands(key, list, &values, at)?;
            }
        }
        let Some(rounds) = &service.run else {
            return Ok(());
        };
        self.check_commands("run", &rounds.commands, &values, at)?;
        if let Some(every) = &rounds.every {
            self.at_least_a_millisecond("every", every)?;
        }
        if let Some(times) = &rounds.times {
            self.number("times", times, u32::MAX)?;
        }
        if let Some(until) = &rounds.until {
            let wrong = until.value.check(&values);
            wrong.map_err(|why| self.mistake(until.referenced, format!("`until`: {why}")))?;
            if until.value.exit_code.is_some() {
                let message = "`until` is about the output of a round, not its exit code";
                return Err(self.mistake(until.referenced, message));
            }
        }
        Ok(())
    }

    pub(super) fn check_written_tasks(&self, tasks: &TasksSection) -> Result<(), Error> {
        let at = tasks.name.referenced;
        let Some(commands) = &tasks.commands else {
            if let Some(data) = &tasks.data {
                let message =
                    "`data` is for tasks that are written here: give them commands with `do`";
                return Err(self.mistake(data.referenced, message));
            }
            if tasks.payload.is_some() {
                let message =
                    "`payload` is for tasks that are written here: give them commands with `do`";
                return Err(self.mistake(at, message));
            }
            return Ok(());
        };
        self.check_payload(tasks.payload.as_ref(), at)?;
        for (index, item) in tasks.items().enumerate() {
            let values = Values {
                item: Some(&item),
                number: index + 1,
                name: &tasks.name.value,
            };
            self.check_commands("do", commands, &values, at)?;
        }
        Ok(())
    }

    pub(super) fn check_program(&self, program: &ProgramSection) -> Result<(), Error> {
        let values = Values {
            item: None,
            number: 1,
            name: &program.name.value,
        };
        let at = program.run.referenced;
        let words = program.run.value.0.iter().chain(program.env.values());
        for text in words {
            fill(text, &values).map_err(|why| self.mistake(at, why))?;
        }
        if program
            .run
            .value
            .0
            .first()
            .is_none_or(|first| first.trim().is_empty())
        {
            return Err(self.mistake(at, "`run` names no program"));
        }
        if let Some(name) = program
            .env
            .keys()
            .find(|name| name.is_empty() || name.contains(['=', '\0']))
        {
            return Err(self.mistake(at, format!("`{name}` is no name of a variable")));
        }
        if let Some(timeout) = &program.timeout {
            self.lasting("timeout", timeout)?;
        }
        let Some(expected) = &program.expect else {
            return Ok(());
        };
        let checked = expected.value.check(&values);
        checked.map_err(|why| self.mistake(expected.referenced, why))
    }

    fn check_payload(&self, payload: Option<&PayloadSection>, at: Location) -> Result<(), Error> {
        let Some(payload) = payload else {
            return Ok(());
        };
        let at = payload
            .image_hash
            .as_ref()
            .map_or(at, |hash| hash.referenced);
        let checked = payload.payload();
        checked
            .map(drop)
            .map_err(|error| self.mistake(at, format!("`payload`: {error}")))
    }

    fn check_commands(
        &self,
        key: &str,
        list: &[Command],
        values: &Values<'_>,
        at: Location,
    ) -> Result<(), Error> {
        if list.is_empty() {
            return Err(self.mistake(at, format!("the list of commands `{key}` is empty")));
        }
        if list.len() > MOST_COMMANDS {
            let message = format!("`{key}` has more than {MOST_COMMANDS} commands");
            return Err(self.mistake(at, message));
        }
        list.iter()
            .try_for_each(|command| self.check_command(key, command, values, at))
    }

    fn check_command(
        &self,
        list: &str,
        command: &Command,
        values: &Values<'_>,
        at: Location,
    ) -> Result<(), Error> {
        let kinds = [
            command.run.as_ref().map(|it| ("run", it.referenced)),
            command.send.as_ref().map(|it| ("send", it.referenced)),
            command
                .download
                .as_ref()
                .map(|it| ("download", it.referenced)),
            command.wait.as_ref().map(|it| ("wait", it.referenced)),
        ];
        let mut kinds = kinds.into_iter().flatten();
        let (kind, _) = kinds.next().ok_or_else(|| {
            let message = format!(
                "a command of `{list}` does nothing: write `run`, `send`, `download` or `wait`"
            );
            self.mistake(command.to.as_ref().map_or(at, |to| to.referenced), message)
        })?;
        if let Some((second, at)) = kinds.next() {
            let message =
                format!("`{kind}` and `{second}` in one command: write two, each with its own `-`");
            return Err(self.mistake(at, message));
        }
        let filled = |text: &Spanned<String>| {
            let filled = fill(&text.value, values);
            filled
                .map(drop)
                .map_err(|why| self.mistake(text.referenced, why))
        };
        if let Some(words) = &command.run {
            for word in &words.value.0 {
                let filled = fill(word, values);
                filled.map_err(|why| self.mistake(words.referenced, why))?;
            }
            if words
                .value
                .0
                .first()
                .is_none_or(|program| program.trim().is_empty())
            {
                return Err(self.mistake(words.referenced, "`run` names no program"));
            }
        }
        for text in [&command.send, &command.to, &command.download]
            .into_iter()
            .flatten()
        {
            filled(text)?;
        }
        match (&command.send, &command.to) {
            (Some(text), None) => {
                let message = "`send` needs `to`, the file of the machine that receives the text";
                return Err(self.mistake(text.referenced, message));
            }
            (None, Some(to)) => {
                return Err(self.mistake(to.referenced, format!("`to` means nothing to `{kind}`")));
            }
            _ => {}
        }
        for path in [&command.to, &command.download].into_iter().flatten() {
            if !path.value.starts_with('/') {
                let message = format!(
                    "`{}` is no path of the machine: it begins with `/`",
                    path.value
                );
                return Err(self.mistake(path.referenced, message));
            }
        }
        if let Some(timeout) = &command.timeout {
            self.lasting("timeout", timeout)?;
            if kind == "wait" {
                return Err(self.mistake(timeout.referenced, "`timeout` means nothing to `wait`"));
            }
        }
        if let Some(wait) = &command.wait {
            self.lasting("wait", wait)?;
        }
        let Some(expected) = &command.expect else {
            return Ok(());
        };
        if kind == "send" || kind == "wait" {
            let message = format!("`{kind}` gives no output: nothing can be expected of it");
            return Err(self.mistake(expected.referenced, message));
        }
        if kind == "download"
            && (expected.value.exit_code.is_some() || expected.value.stderr_contains.is_some())
        {
            let message = "a download has a text only: neither `exit_code` nor `stderr_contains`";
            return Err(self.mistake(expected.referenced, message));
        }
        let wrong = expected.value.check(values);
        wrong.map_err(|why| self.mistake(expected.referenced, why))?;
        Ok(())
    }
}
