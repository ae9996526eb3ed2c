//! What stopping achieved, and what it left behind, for people and for programs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use golem_wire::{AgreementId, Glm};
use serde::Serialize;

use crate::market::{OpenAgreement, Rental};
use crate::model::InstanceId;
use crate::payment::OpenDocument;

/// How a stage of stopping went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StageReport {
    /// `jobs`, `activities`, `agreements`, `networks`, `invoices`, `demands`, `settlement`, `by hand`, `leftovers`,
    /// `allocation` or `tasks`.
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
    /// The deadline that ended it before it was through, if one did.
    pub cut_after: Option<Duration>,
}

/// What stopping achieved, and what it left behind.
#[must_use = "it names what was left behind; `is_clean()` tells whether anything was"]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Agreements that were in force at some time.
    pub agreements: u64,
    /// Invoices accepted.
    pub invoices_accepted: u64,
    /// GLM accepted by invoices, and by debit notes where no invoice came.
    pub accepted: Glm,
    /// Whether it was hurried: see [`Golem::abort`](crate::Golem::abort).
    pub aborted: bool,
    /// The stages in their order.
    pub stages: Vec<StageReport>,
    /// Agreements that may still be in force.
    pub open_agreements: Vec<OpenAgreement>,
    /// Agreements that were used and are not paid.
    pub unpaid: Vec<OpenAgreement>,
    /// Those of them whose invoice was refused, since it asks for more than can be right, or by the
    /// strategy. That is decided, so they are not counted as left open.
    pub refused: Vec<AgreementId>,
    /// The documents of agreements in [`unpaid`](Self::unpaid) that came and are not accepted.
    pub debts: Vec<OpenDocument>,
    /// Accepted documents that the payment driver has not settled; only told when settlement was
    /// waited for.
    pub unsettled: Vec<OpenDocument>,
    /// Accepted documents that the daemon does not settle, since for their provider they do not come to more than
    /// [`min_settled`](crate::config::PaymentLimits::min_settled); only told when settlement was waited for, and not
    /// counted as left open: nothing more can be done.
    pub below_minimum: Vec<OpenDocument>,
    /// Demands and other things that may still be at the daemon.
    pub leftovers: Vec<String>,
    /// Why the budget may still be reserved.
    pub allocation: Option<String>,
    /// Services, task lists or requests that did not end in time and were cut off.
    pub cut_off: Vec<String>,
    /// Instances that were left on their machines on purpose, by [`Golem::suspend`](crate::Golem::suspend). They
    /// are not counted as left open.
    pub suspended: Vec<SuspendedInstance>,
}

/// An instance that a later engine can go on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SuspendedInstance {
    /// Which.
    pub id: InstanceId,
    /// Whose machine it has.
    pub provider_name: String,
    /// The agreement, which is in force.
    pub agreement_id: AgreementId,
}

impl SuspendedInstance {
    pub(super) fn of(rental: &Arc<Rental>) -> Option<Self> {
        Some(SuspendedInstance {
            id: rental.left_to()?.clone(),
            provider_name: rental.provider_name.clone(),
            agreement_id: rental.agreement_id.clone(),
        })
    }
}

impl ShutdownReport {
    /// Whether nothing is left behind.
    pub fn is_clean(&self) -> bool {
        self.open_count() == 0
    }

    /// How many things are left behind.
    pub fn open_count(&self) -> usize {
        self.open_agreements.len()
            + self.owed().count()
            + self.unsettled.len()
            + self.leftovers.len()
            + usize::from(self.allocation.is_some())
            + self.cut_off.len()
    }

    /// Agreements that are to be paid still.
    fn owed(&self) -> impl Iterator<Item = &OpenAgreement> {
        let refused = |open: &&OpenAgreement| self.refused.contains(&open.agreement_id);
        self.unpaid.iter().filter(move |open| !refused(open))
    }

    /// What a program may end with: 0 when nothing is left behind, 3 otherwise.
    pub fn exit_code(&self) -> u8 {
        if self.is_clean() { 0 } else { 3 }
    }

    /// What is left behind, a line each.
    pub fn open(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let open = self.open_agreements.iter();
        lines.extend(open.map(|open| line("may still be in force", open)));
        lines.extend(self.owed().map(|open| line("is not paid", open)));
        for OpenDocument {
            agreement_id,
            provider_name,
            document,
            amount,
        } in &self.unsettled
        {
            lines.push(format!(
                "{document} of {provider_name} for agreement {agreement_id}, {} GLM, is accepted and not settled",
                amount.normalized()
            ));
        }
        lines.extend(self.leftovers.iter().cloned());
        if let Some(reason) = &self.allocation {
            lines.push(format!("the budget may still be reserved: {reason}"));
        }
        lines.extend(
            self.cut_off
                .iter()
                .map(|name| format!("`{name}` was cut off")),
        );
        lines
    }

    /// Whether `rehearse doctor` finds something to do: what was merely cut off left nothing at the
    /// daemon.
    fn is_curable(&self) -> bool {
        self.open_count() > self.cut_off.len() + self.unsettled.len()
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} agreements, {} invoices accepted, {} GLM",
            self.agreements,
            self.invoices_accepted,
            self.accepted.normalized()
        )?;
        if self.aborted {
            f.write_str("; hurried")?;
        }
        for left in &self.suspended {
            let SuspendedInstance {
                id,
                provider_name,
                agreement_id,
            } = left;
            write!(
                f,
                "; {id} is suspended on {provider_name}, agreement {agreement_id}"
            )?;
        }
        let refused = |open: &&OpenAgreement| self.refused.contains(&open.agreement_id);
        let refused: Vec<_> = self.unpaid.iter().filter(refused).collect();
        if !refused.is_empty() {
            write!(f, "; {} refused:", refused.len())?;
        }
        for open in refused {
            write!(f, "\n  {}", line("is not paid", open))?;
        }
        if !self.below_minimum.is_empty() {
            let sum: Glm = self.below_minimum.iter().map(|it| it.amount).sum();
            let (count, sum) = (self.below_minimum.len(), sum.normalized());
            write!(
                f,
                "; {count} of {sum} GLM are below what the daemon settles, and are not waited for"
            )?;
        }
        if self.is_clean() {
            return f.write_str("; nothing left open");
        }
        write!(f, "; {} left open:", self.open_count())?;
        for line in self.open() {
            write!(f, "\n  {line}")?;
        }
        for stage in &self.stages {
            if let Some(after) = stage.cut_after {
                let (name, after) = (stage.name, rounded(after));
                write!(f, "\n  stage `{name}` was not through {after}")?;
            }
        }
        if self.is_curable() {
            f.write_str("\n  look with `rehearse doctor`, settle with `rehearse doctor --clean`")?;
        }
        Ok(())
    }
}

fn line(what: &str, open: &OpenAgreement) -> String {
    let OpenAgreement {
        agreement_id,
        provider_name,
        reason,
    } = open;
    format!("agreement {agreement_id} with {provider_name} {what}: {reason}")
}

/// How long something had, as people say it.
fn rounded(after: Duration) -> String {
    const TENTH: Duration = Duration::from_millis(100);
    if after < TENTH {
        return "and got no time".to_owned();
    }
    let tenths = after.as_millis() / TENTH.as_millis();
    match (tenths / 10, tenths % 10) {
        (seconds, 0) => format!("after {seconds} s"),
        (seconds, tenth) => format!("after {seconds}.{tenth} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_report_says_so_and_a_dirty_one_names_everything() {
        let mut report = ShutdownReport {
            agreements: 1,
            invoices_accepted: 1,
            accepted: "0.500".parse().expect("literal"),
            ..ShutdownReport::default()
        };
        assert_eq!(
            report.to_string(),
            "1 agreements, 1 invoices accepted, 0.5 GLM; nothing left open"
        );
        assert_eq!(report.exit_code(), 0);
        report.unpaid.push(OpenAgreement {
            agreement_id: "abc".into(),
            provider_name: "bob".into(),
            reason: "no invoice came".into(),
        });
        report.allocation = Some("refused".into());
        let text = report.to_string();
        assert!(text.contains("2 left open") && text.contains("abc with bob is not paid"));
        assert!(text.contains("rehearse doctor"), "{text}");
        assert_eq!(report.exit_code(), 3);
    }

    #[test]
    fn what_was_only_cut_off_needs_no_doctor_and_a_cut_stage_is_named() {
        let report = ShutdownReport {
            aborted: true,
            cut_off: vec!["jobs/service-1".into()],
            stages: vec![StageReport {
                name: "jobs",
                took: Duration::from_secs(60),
                cut_after: Some(Duration::from_secs(60)),
            }],
            ..ShutdownReport::default()
        };
        let text = report.to_string();
        assert!(
            text.contains("hurried") && text.contains("stage `jobs` was not through after 60 s")
        );
        assert!(!text.contains("doctor"));
    }

    #[test]
    fn a_cut_is_told_in_tenths_of_seconds() {
        for (micros, text) in [
            (581, "and got no time"),
            (1_949_999, "after 1.9 s"),
            (60_000_017, "after 60 s"),
        ] {
            assert_eq!(rounded(Duration::from_micros(micros)), text);
        }
    }
}
