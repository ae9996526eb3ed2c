//! Claims that people wrote down: what the daemon answered to the calls that show them, the mock answers.

use std::collections::BTreeMap;

use workspace_tests::fidelity::asked::{answers, questions};
use workspace_tests::fidelity::explained::Explained;
use workspace_tests::fidelity::recorded::Recordings;

use crate::drawn::{play_file, unexplained};

#[test]
fn the_mock_answers_every_written_question_as_the_daemon_did() {
    let explained = Explained::read();
    let mut failed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut answers_alike = 0;
    for one in play_file(&answers()) {
        let differences = unexplained(&one, &explained);
        answers_alike += usize::from(differences.is_empty());
        for (aspect, how) in differences {
            let request = &one.step.daemon;
            let what = format!(
                "{} {}?{} {}: {aspect}: {how}",
                request.method, request.path, request.query, request.request
            );
            failed
                .entry(one.claim.clone().unwrap_or_default())
                .or_default()
                .push(what);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(answers_alike > 200, "only {answers_alike} answers");
}

#[test]
fn every_written_question_was_put_to_the_daemon_as_it_stands() {
    let recorded = Recordings::read(&answers()).expect("answers");
    let questions = questions().expect("questions");
    let claims: Vec<_> = recorded.sequences.iter().map(|it| &it.claim).collect();
    let asked: Vec<_> = questions.iter().map(|it| Some(it.claim.clone())).collect();
    assert_eq!(
        claims,
        asked.iter().collect::<Vec<_>>(),
        "`differential --asked` puts them to a daemon"
    );
    for (question, recorded) in questions.iter().zip(&recorded.sequences) {
        assert_eq!(
            question.sequence,
            recorded.sequence(),
            "{}: `differential --asked` puts it to a daemon again",
            question.claim
        );
    }
}
