//! A script under way. Owns: its order: what goes first, when it is sent, again if need be, and
//! until when its results are waited for; and `deploy` and `start` put in front of an activity's
//! first one. Does not own: its commands one by one (`execute/step.rs`), or its files
//! (`execute/file.rs`).

mod file;
mod hearing;
mod step;

use std::pin::pin;
use std::sync::Arc;

use futures::stream::{self, StreamExt};
use golem_wire::BatchId;
use golem_wire::activity::{ActivityState, ExeScriptCommand};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::command::{Command, Kind};
use super::handle::Reply;
use super::{BatchResults, CommandExecuted, Script, ScriptError};
use crate::activity::{Activity, Batch, BatchError, Patience, Session, Unfinished, WireCommand};
use crate::api::activity::is_turned_away;
use crate::deadline;
use crate::event::{GettingResults, ScriptSent};
use step::Step;

/// What JSON adds to the output itself, at the least.
const RESULT_OVERHEAD: usize = 64 * 1024;
/// How often a repeatable script is sent whose outcome stays unknown.
const MAX_REPEATS: u32 = 5;

pub(super) async fn execute(script: Script) -> Result<BatchResults, ScriptError> {
    script.begun.set();
    if script.is_empty() {
        return Ok(BatchResults::default());
    }
    let cancel = CancellationToken::new();
    let _guard = cancel.clone().drop_guard();
    let tasks = script.activity.context().tasks().clone();
    let deadline = script
        .timeout
        .map(|timeout| (deadline::within(timeout), timeout));
    let span = tracing::info_span!("script", activity = %script.activity.id(),
        agreement = %script.activity.rental().agreement_id);
    let run = async move {
        let activity = Arc::clone(&script.activity);
        let patience = Patience {
            activity: &activity,
            deadline,
            cancel: &cancel,
        };
        let max_result_bytes = script.max_result_bytes;
        let mut run = Execution::new(&activity, script.commands, script.repeatable);
        run.listen(script.stream_output, script.lossy);
        let result = run.run(&patience, max_result_bytes).await;
        run.finish(result).await
    };
    tasks.run("script", run.instrument(span)).await?
}

struct Execution<'a> {
    activity: &'a Arc<Activity>,
    number: u64,
    steps: Vec<Step>,
    /// How many were put in front.
    prologue: usize,
    repeatable: bool,
    done: Vec<CommandExecuted>,
    /// Whether events tell all that its commands tell.
    stream_output: bool,
    /// Whether it is listened to while it runs.
    is_followed: bool,
    /// How much its commands wrote while they were listened to.
    live_bytes: usize,
}

impl<'a> Execution<'a> {
    fn new(activity: &'a Arc<Activity>, commands: Vec<(Command, Reply)>, repeatable: bool) -> Self {
        let step = |(command, reply)| Step::new(command, Some(reply));
        Execution {
            activity,
            number: activity.next_script(),
            steps: commands.into_iter().map(step).collect(),
            prologue: 0,
            repeatable,
            done: Vec::new(),
            stream_output: false,
            is_followed: false,
            live_bytes: 0,
        }
    }

    /// Decides whether it is listened to while it runs.
    fn listen(&mut self, stream_output: bool, lossy: bool) {
        self.stream_output = stream_output;
        self.is_followed = stream_output;
        for step in &mut self.steps {
            let Some(live) = step.reply.as_ref().map(Reply::live) else {
                continue;
            };
            step.hearing.lossy = lossy;
            let (stdout, stderr) = (live.stdout.is_wanted(), live.stderr.is_wanted());
            step.as_text = step.command.tell_as_bytes(stdout, stderr);
            if stream_output || live.wants_progress() {
                step.command.tell_progress();
            }
            self.is_followed |= live.is_wanted() || step.command.wants_progress();
        }
    }

    async fn run(
        &mut self,
        patience: &Patience<'_>,
        max_result_bytes: usize,
    ) -> Result<(), ScriptError> {
        for step in &self.steps {
            step.command.check()?;
        }
        let activity = Arc::clone(self.activity);
        let mut session = patience.or_end(activity.session()).await?;
        if !session.started && !activity.is_by_hand() {
            self.prepend_start();
        }
        let aborts = matches!(self.steps.as_slice(), [step] if step.command.is_terminate());
        if let Some(before) = session.unfinished.take()
            && !aborts
        {
            before.outlast(patience).await?;
        }
        for index in 0..self.steps.len() {
            self.open_file(index).await?;
        }
        if session.inherited {
            return self
                .after_another(patience, &mut session, max_result_bytes)
                .await;
        }
        for _ in 1..MAX_REPEATS {
            if self
                .collect(patience, &mut session, max_result_bytes, self.repeatable)
                .await?
            {
                return Ok(());
            }
            tracing::info!(activity = %activity.id(), "it ran already; sending the script again");
            self.settle(patience, &mut session).await?;
        }
        self.collect(patience, &mut session, max_result_bytes, false)
            .await
            .map(drop)
    }

    /// The first script of a machine that somebody else used: an earlier life, or another program. A batch of
    /// theirs may still be at work, for as long as it takes, and it turns others away as a whole. So it is waited for until
    /// the machine is idle, and the script is sent again.
    async fn after_another(
        &mut self,
        patience: &Patience<'_>,
        session: &mut Session,
        max_result_bytes: usize,
    ) -> Result<(), ScriptError> {
        while !self
            .collect(patience, session, max_result_bytes, true)
            .await?
        {
            tracing::info!(activity = %self.activity.id(), "it is at a script of somebody else; waiting for its end");
            self.settle(patience, session).await?;
        }
        session.inherited = false;
        Ok(())
    }

    /// After a batch of unknown health: waits until the exe-unit is idle, since one that did get it is
    /// busy and fails whatever comes meanwhile.
    async fn settle(
        &mut self,
        patience: &Patience<'_>,
        session: &mut Session,
    ) -> Result<ActivityState, ScriptError> {
        let state = self.activity.until_idle(patience).await?;
        if state == ActivityState::Ready && self.prologue > 0 {
            session.started = true;
            self.steps.drain(..self.prologue);
            self.prologue = 0;
        }
        Ok(state)
    }

    /// Whether the script may be sent again although the provider may have got it: nobody minds, or a
    /// copy that came later would fail at its first command. That is so for one that begins with
    /// `deploy`, as long as nothing was deployed.
    fn may_repeat(&self, state: Option<&ActivityState>) -> bool {
        let is_upload = |step: &Step| matches!(step.command.0, Kind::Upload { .. });
        let deploys = matches!(
            self.steps.first().map(|step| &step.command.0),
            Some(Kind::Deploy(_))
        );
        let undeployed = state.is_none_or(|state| *state == ActivityState::Initialized);
        self.repeatable
            || self.steps[self.prologue..].iter().all(is_upload)
            || (deploys && undeployed)
    }

    /// Sends the script and follows its results to the end. `false`, if that is wanted, when the
    /// exe-unit was busy: the daemon was asked twice, and ran it before.
    async fn collect(
        &mut self,
        patience: &Patience<'_>,
        session: &mut Session,
        max_result_bytes: usize,
        tell_busy: bool,
    ) -> Result<bool, ScriptError> {
        let activity = Arc::clone(self.activity);
        let on_wire = self.steps.iter().map(|step| step.command.bytes_on_wire());
        let max_bytes = max_result_bytes
            .saturating_mul(on_wire.max().unwrap_or(1))
            .saturating_add(RESULT_OVERHEAD);
        let (commands, batch_id) = self.send(patience, session, max_bytes).await?;
        let batch = Batch {
            patience,
            activity: &activity,
            commands: &commands,
            max_result_bytes: max_bytes,
        };
        session.unfinished = Some(Unfinished {
            batch: batch_id.clone(),
            commands: commands.len(),
        });
        let script = self.number;
        self.emit(ScriptSent {
            script,
            batch_id: batch_id.clone(),
            commands: u32::try_from(commands.len()).unwrap_or(u32::MAX),
        });
        self.emit(GettingResults { script });
        self.started(0);
        let mut told = match self.is_followed {
            true => activity.follow(&batch_id, max_bytes),
            false => stream::empty().boxed(),
        };
        let mut results = batch.results(batch_id);
        let mut output = 0usize;
        let mut failure = None;
        loop {
            let news = {
                let mut next = pin!(results.next());
                loop {
                    tokio::select! {
                        biased;
                        Some(told) = told.next() => self.heard(told, max_result_bytes)?,
                        news = &mut next => break news,
                    }
                }
            };
            let Some(news) = news.map_err(|error| too_large(error, max_result_bytes))? else {
                break;
            };
            for result in news {
                if tell_busy && is_turned_away(&result) {
                    session.unfinished = None;
                    return Ok(false);
                }
                output += [&result.stdout, &result.stderr]
                    .into_iter()
                    .flatten()
                    .map(length)
                    .sum::<usize>();
                if output > max_result_bytes {
                    return Err(ScriptError::ResultTooLarge {
                        activity_id: activity.id().clone(),
                        limit: max_result_bytes,
                    });
                }
                if let Err(error) = self.ended(result, session).await {
                    // Files that fail do not stop the provider: later commands still report.
                    failure.get_or_insert(error);
                }
            }
        }
        session.unfinished = None;
        failure.map_or(Ok(true), Err)
    }

    /// Sends the commands; again, if that does no harm and whether they arrived is unknown.
    async fn send(
        &mut self,
        patience: &Patience<'_>,
        session: &mut Session,
        max_result_bytes: usize,
    ) -> Result<(Vec<WireCommand>, BatchId), ScriptError> {
        let activity = Arc::clone(self.activity);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let wire = |step: &Step| step.command.wire(step.file.url());
            let mut commands: Vec<_> = self.steps.iter().map(wire).collect();
            join_network(&activity, &mut commands, session);
            let batch = Batch {
                patience,
                activity: &activity,
                commands: &commands,
                max_result_bytes,
            };
            let unknown = match batch.send().await {
                Ok(id) => return Ok((commands, id)),
                Err(error @ BatchError::OutcomeUnknown { .. })
                    if self.may_repeat(None) && attempt < MAX_REPEATS =>
                {
                    error
                }
                Err(error) => return Err(error.into()),
            };
            let state = self.settle(patience, session).await?;
            if !self.may_repeat(Some(&state)) {
                return Err(unknown.into());
            }
            tracing::info!(activity = %activity.id(), error = %unknown, "sending the script again");
        }
    }

    fn prepend_start(&mut self) {
        let brings_own = self
            .steps
            .iter()
            .any(|step| step.command.is_deploy_or_start());
        if brings_own || !self.steps.iter().any(|step| step.command.needs_start()) {
            return;
        }
        let prologue = [Command::deploy(), Command::start([])];
        self.prologue = prologue.len();
        self.steps.splice(
            0..0,
            prologue.map(|mut command| {
                if self.stream_output {
                    command.tell_progress();
                }
                Step::new(command, None)
            }),
        );
    }
}

/// The limit that is meant is the one of the output.
fn too_large(error: BatchError, max_result_bytes: usize) -> BatchError {
    match error {
        BatchError::ResultTooLarge { activity_id, .. } => BatchError::ResultTooLarge {
            activity_id,
            limit: max_result_bytes,
        },
        other => other,
    }
}

/// A machine with a place in a network joins it when it is deployed, unless its `deploy` names networks by itself.
fn join_network(activity: &Activity, commands: &mut [WireCommand], session: &mut Session) {
    let Some(node) = activity.node() else { return };
    for command in commands {
        if let WireCommand::Known(ExeScriptCommand::Deploy(deploy)) = command
            && deploy.net.is_empty()
        {
            let (args, known) = node.deployment();
            deploy.net.push(args);
            session.known_nodes = known;
        }
    }
}

fn length(output: &golem_wire::activity::Output) -> usize {
    match output {
        golem_wire::activity::Output::Text(text) => text.len(),
        golem_wire::activity::Output::Bytes(bytes) => bytes.len(),
    }
}
