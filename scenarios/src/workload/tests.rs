//! Claims about the names of workloads.

use futures::future::{FutureExt, LocalBoxFuture};

use super::*;
use crate::language::Origin;

fn scenario(text: &str) -> Scenario {
    let origin = Origin {
        file: "trial.yaml".into(),
        folder: None,
    };
    Scenario::parse(text, origin).expect("valid")
}

fn message(text: &str) -> String {
    let refused = Workloads::default().check(&scenario(text));
    refused.expect_err("unknown").to_string()
}

#[cfg(feature = "simple-service")]
#[test]
fn a_misspelt_workload_or_image_is_named_with_its_place_and_comes_with_a_suggestion() {
    let service = "name: trial\nservice:\n  name: simple-servise\n  duration: 10m\n";
    assert_eq!(
        message(service),
        "trial.yaml:3:9: unknown service `simple-servise`; did you mean `simple-service`?"
    );
    let image =
        "name: trial\ntasks: {name: hello-tasks, count: 1}\nimage: {program: simple-servise}\n";
    assert_eq!(
        message(image),
        "trial.yaml:3:18: unknown image `simple-servise`; did you mean `simple-service`?"
    );
}

#[test]
fn tasks_are_no_service_and_have_no_image() {
    let service = "name: trial\nservice: {name: hello-tasks, duration: 10m}\n";
    assert!(message(service).contains("unknown service `hello-tasks`"));
    let image =
        "name: trial\ntasks: {name: hello-tasks, count: 1}\nimage: {program: hello-tasks}\n";
    assert!(message(image).contains("unknown image `hello-tasks`"));
}

#[test]
fn images_that_public_providers_cannot_fetch_are_known_before_a_run_there() {
    let without = |text: &str| {
        let names = Workloads::default().without_image(&scenario(text));
        names.expect("known").join(" ")
    };
    let service =
        |more: &str| format!("name: trial\nservice: {{name: echo-service, duration: 10m{more}}}\n");
    assert_eq!(without(&service("")), "echo-service");
    assert_eq!(without(&service(", image_hash: ab12")), "");
    let written = |payload: &str| {
        format!("name: trial\nservice:\n  name: mine\n  duration: 10m\n  payload: {{{payload}}}\n")
    };
    assert_ne!(without(&written("min_mem_gib: 1")), "");
    assert_eq!(without(&written("image_hash: ab12")), "");
}

struct Mine;

impl Workload for Mine {
    fn name(&self) -> &'static str {
        "mine"
    }

    fn section(&self) -> Section {
        Section::Tasks
    }

    fn start<'a>(
        &'a self,
        _: &'a Golem,
        _: &'a Job,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>> {
        async { Err("not today".into()) }.boxed_local()
    }
}

#[test]
fn a_workload_of_your_own_is_run_by_its_name_and_says_why_it_does_not_start() {
    let scenario = scenario(
        "name: trial\nproviders: [{name: alice}]\ntasks: {name: mine, count: 1}\n\
         expect: [{error_contains: not today}]\n",
    );
    assert!(Workloads::default().check(&scenario).is_err());
    let workloads = Workloads::default().with(Mine);
    assert!(workloads.check(&scenario).is_ok());
    let run = rehearsed(&scenario, workloads);
    assert!(run.report.ok, "{}", run.summary);
    assert_eq!(run.outcome.error.as_deref(), Some("not today"));
}

/// Lists of its own, which say what they were asked.
struct Echo;

impl Workload for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn section(&self) -> Section {
        Section::Tasks
    }

    fn start<'a>(
        &'a self,
        golem: &'a Golem,
        job: &'a Job,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>> {
        async {
            let count = job.scenario.tasks.as_ref().map_or(0, |it| it.count.value);
            let image = golem_engine::payload::vm::repo(
                "9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae",
            )
            .image_url("http://images.example/echo.gvmi");
            let tasks = golem
                .execute_tasks(image)
                .data(1..=count)
                .worker(|ctx, task| async move {
                    let words = ["-c".to_owned(), format!("echo mine {}", task.data)];
                    let said = ctx.run("/bin/sh", words).await?;
                    Ok(said.stdout_text().trim().to_owned())
                });
            Ok(running_tasks(tasks.start().await?))
        }
        .boxed_local()
    }
}

#[test]
fn a_workload_of_your_own_is_run_by_its_name_to_its_results() {
    let scenario = scenario(
        "name: trial\nproviders: [{name: alice}]\ntasks: {name: echo, count: 2}\n\
         expect: [{task_results: [mine 1, mine 2]}]\n",
    );
    let run = rehearsed(&scenario, Workloads::default().with(Echo));
    assert!(run.report.ok, "{}", run.summary);
}

fn rehearsed(scenario: &Scenario, workloads: Workloads) -> crate::Rehearsal {
    let folder = tempfile::tempdir().expect("a folder");
    let options = crate::Options {
        out: Some(folder.path().join("out")),
        workloads,
        ..crate::Options::default()
    };
    crate::rehearse(scenario, &options).expect("a report")
}
