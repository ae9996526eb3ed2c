//! `README.md` lists every name that a scenario file may hold, with what the code says of it. The lists are
//! made here: `GOLEM_UPDATE=1` writes them, without it they are compared.

use std::cell::Cell;
use std::path::Path;

use mock_yagna::behaviour::{Phase, Step as ProviderStep, StepLatency, Trouble};
use mock_yagna::config::{Latency, Operation};
use mock_yagna::ledger;
use mock_yagna::network_file::{ACTS, ImageSource, Prices, ProviderGroup, Resources};
use mock_yagna::runtime::scripted::{ScriptedAnswer, ScriptedPrint};
use mock_yagna::{Behaviour, Effect, Fault, Gpu};
use serde::de::value::Error as Told;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

use super::Scenario;
use super::commands::{Command, Expected, PayloadSection, Rounds};
use super::expect::{EventCount, Expectation, LeftOpen, StateName};
use super::laws::{BOOKS, Exception, LawsSection, OTHERS};
use super::patterns::{Bound, Eventually, LeadsTo, Limits, MetricClaim, Pattern};
use super::sections::{
    Arrivals, FunctionSection, OWN, ProgramSection, RealTime, Requestor, RequestorSection,
    ServiceSection, SignalName, Step, Swept, TasksSection, Time, When,
};

const BEGIN: &str =
    "<!-- made from the code: GOLEM_UPDATE=1 cargo test --workspace --lib reference -->\n";
const END: &str = "<!-- up to here -->\n";

/// Learns the names by which a type is read: reading it from here fails, but asks for them first.
#[derive(Clone, Copy)]
struct Ask<'a>(&'a Cell<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Ask<'_> {
    type Error = Told;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Told> {
        Err(Told::custom("asked for its names only"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Told> {
        self.0.set(names);
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Told> {
        self.0.set(names);
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

pub(super) fn names<T: DeserializeOwned>() -> &'static [&'static str] {
    let found = Cell::new(&[][..]);
    drop(T::deserialize(Ask(&found)));
    assert!(!found.get().is_empty(), "{}", std::any::type_name::<T>());
    found.get()
}

pub(super) fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What the source says of each member of `item`, in order; those that are never read are left out.
fn documented(path: &str, item: &str) -> Vec<String> {
    let source = read(path);
    let begin = source
        .find(item)
        .unwrap_or_else(|| panic!("{path}: no {item}"));
    let (mut depth, mut said, mut skipped, mut all) = (0_usize, String::new(), false, Vec::new());
    for line in source[begin..].lines() {
        let line = line.trim();
        if let Some(doc) = line.strip_prefix("///").filter(|_| depth == 1) {
            said = format!("{said} {}", doc.trim());
        } else if depth == 1 && line.contains("serde(skip)") {
            skipped = true;
        } else if depth == 1 && line.starts_with(|c: char| c.is_alphabetic()) && !skipped {
            all.push(std::mem::take(&mut said));
        } else if depth == 1 && line.starts_with(|c: char| c.is_alphabetic()) {
            (said, skipped) = (String::new(), false);
        }
        depth += line.matches('{').count();
        depth -= line.matches('}').count();
        if depth == 0 {
            break;
        }
    }
    all
}

/// What the source says of the engine's events; users' own have no place in the list of its own.
fn engine_events() -> Vec<String> {
    let mut said = documented("engine/src/event/kinds.rs", "events! {");
    said.push("An event of the program's own.".to_owned());
    said
}

/// A table of names and what the source says of them.
fn table(heading: &str, names: &[&str], said: &[String]) -> String {
    assert_eq!(names.len(), said.len(), "{heading}: {names:?} {said:#?}");
    let rows = names.iter().zip(said).map(|(name, said)| {
        // Links of the code's documentation lead nowhere here.
        let said = said
            .trim()
            .replace("[`", "`")
            .replace("`]", "`")
            .replace('|', "\\|");
        format!("| `{name}` | {said} |\n")
    });
    format!(
        "\n**{heading}**\n\n| name | meaning |\n|---|---|\n{}",
        rows.collect::<String>()
    )
}

fn keys<T: DeserializeOwned>(heading: &str, path: &str, item: &str) -> String {
    table(heading, names::<T>(), &documented(path, item))
}

/// Where a situation was seen: addresses of GitHub's threads by repository and number.
fn seen_at(said: &str) -> String {
    let thread = said.strip_prefix("https://github.com/golemfactory/");
    let parts: Option<Vec<_>> = thread.map(|thread| thread.split('/').collect());
    match parts.as_deref() {
        Some([repository, "issues" | "pull", number]) => format!("[{repository}#{number}]({said})"),
        Some([repository, ..]) => format!("[{repository}]({said})"),
        _ => said.to_owned(),
    }
}

/// The scenarios of each theme, and where each was seen.
fn catalog() -> String {
    let mut text = "\n**Scenarios of the catalog**\n".to_owned();
    for (theme, about) in super::catalog::THEMES {
        text +=
            &format!("\n`{theme}`: {about}\n\n| name | what happens | seen at |\n|---|---|---|\n");
        for name in super::catalog::names_of(theme) {
            let scenario = super::catalog::get(name).expect("in the catalog");
            let seen: Vec<_> = scenario.seen_at.iter().map(|it| seen_at(it)).collect();
            let about = scenario.about.trim().replace('|', "\\|");
            text += &format!("| `{name}` | {about} | {} |\n", seen.join(", "));
        }
    }
    text
}

fn verbs() -> String {
    let acts = documented("mock-yagna/src/control/acts.rs", "pub enum ActName {");
    let own = documented("scenarios/src/language/sections.rs", "pub enum Verb {");
    let names: Vec<_> = ACTS.iter().map(|(name, _)| *name).collect();
    let own_names: Vec<_> = OWN.iter().map(|(name, _)| *name).collect();
    // The first one is any act.
    [
        table("Verbs (`do`) of a timeline: the network's", &names, &acts),
        table("The requestor's", &own_names, &own[1..]),
    ]
    .concat()
}

fn operations() -> String {
    let rows = Operation::ALL.iter().map(|operation| {
        let (method, path) = operation.request();
        format!("| `{}` | `{method} {path}` |\n", operation.name())
    });
    format!(
        "\n**Operations (`on` of a fault; also a method and a path, or `*`)**\n\n| name | request |\n|---|---|\n{}",
        rows.collect::<String>()
    )
}

fn laws() -> String {
    let others = OTHERS.iter().map(|(name, says, of_a_run)| {
        let says = match of_a_run {
            true => format!("{says}."),
            false => format!("{says}; judged by `rehearse explore` only."),
        };
        (*name, says)
    });
    let books = ledger::Law::ALL.iter();
    let books = books.map(|law| (law.name(), format!("{law}.")));
    // The word for all laws of the books stands before them.
    let (mut said, mut names) = (Vec::new(), Vec::new());
    let others: Vec<_> = others.collect();
    let (all, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(|(name, _)| *name == BOOKS);
    for (name, says) in rest.into_iter().chain(all).chain(books) {
        names.push(name);
        said.push(says);
    }
    table("Laws", &names, &said)
}

fn page() -> String {
    const SECTIONS: &str = "scenarios/src/language/sections.rs";
    const EXPECT: &str = "scenarios/src/language/expect.rs";
    const LAWS: &str = "scenarios/src/language/laws.rs";
    const PATTERNS: &str = "scenarios/src/language/patterns.rs";
    const COMMANDS: &str = "scenarios/src/language/commands.rs";
    const PROVIDER: &str = "mock-yagna/src/config/provider.rs";
    const PROVIDERS: &str = "mock-yagna/src/network_file/providers.rs";
    const IMAGES: &str = "mock-yagna/src/network_file/images.rs";
    const STEP: &str = "mock-yagna/src/behaviour/step.rs";
    const FAULT: &str = "mock-yagna/src/config/fault.rs";
    const SCRIPTED: &str = "mock-yagna/src/runtime/scripted.rs";
    const BEHAVIOUR: &str = "mock-yagna/src/behaviour.rs";
    [
        keys::<Scenario>(
            "A scenario",
            "scenarios/src/language.rs",
            "pub struct Scenario {",
        ),
        keys::<Time>("`time`", SECTIONS, "pub struct Time {"),
        keys::<ProviderGroup>("`providers`, each", PROVIDERS, "pub struct ProviderGroup {"),
        keys::<Prices>("`prices` of providers", PROVIDERS, "pub struct Prices {"),
        keys::<Resources>(
            "`resources` of providers",
            PROVIDERS,
            "pub struct Resources {",
        ),
        keys::<Gpu>("`gpu` of providers", PROVIDER, "pub struct Gpu {"),
        keys::<Behaviour>(
            "`behaviour` of providers",
            BEHAVIOUR,
            "pub struct Behaviour {",
        ),
        keys::<StepLatency>("`latency` of a behaviour", STEP, "pub struct StepLatency {"),
        keys::<Trouble>(
            "`fail_command`, `hang_command`",
            STEP,
            "pub struct Trouble {",
        ),
        keys::<ProviderStep>("`die_before`, `die_after`", STEP, "pub enum Step {"),
        keys::<Phase>(
            "`phases` of a behaviour, each",
            BEHAVIOUR,
            "pub struct Phase {",
        ),
        keys::<Latency>(
            "`latency`",
            "mock-yagna/src/config.rs",
            "pub struct Latency {",
        ),
        keys::<Fault>("`faults`, each", FAULT, "pub struct Fault {"),
        keys::<Effect>("Effects (`do`) of a fault", FAULT, "pub enum Effect {"),
        operations(),
        keys::<Requestor>("`requestor`", SECTIONS, "pub struct Requestor {"),
        keys::<RequestorSection>(
            "`requestors`, each",
            SECTIONS,
            "pub struct RequestorSection {",
        ),
        keys::<ImageSource>("`image`", IMAGES, "pub enum ImageSource {"),
        keys::<ScriptedAnswer>("`scripted`, each", SCRIPTED, "pub struct ScriptedAnswer {"),
        keys::<ScriptedPrint>("`prints`, each", SCRIPTED, "pub struct ScriptedPrint {"),
        keys::<ServiceSection>("`service`", SECTIONS, "pub struct ServiceSection {"),
        keys::<TasksSection>("`tasks`", SECTIONS, "pub struct TasksSection {"),
        keys::<FunctionSection>("`function`", SECTIONS, "pub struct FunctionSection {"),
        keys::<ProgramSection>("`program`", SECTIONS, "pub struct ProgramSection {"),
        keys::<Arrivals>("`workloads`, each", SECTIONS, "pub struct Arrivals {"),
        keys::<PayloadSection>(
            "`payload` of a service or of tasks",
            COMMANDS,
            "pub struct PayloadSection {",
        ),
        keys::<Rounds>("`run` of a service", COMMANDS, "pub struct Rounds {"),
        keys::<Command>(
            "Commands (`start`, `do`, `stop`), each",
            COMMANDS,
            "pub struct Command {",
        ),
        keys::<Expected>(
            "`expect` of a command, `until`",
            COMMANDS,
            "pub struct Expected {",
        ),
        keys::<Step>("`timeline`, each", SECTIONS, "pub struct Step {"),
        keys::<SignalName>("`signal` of a step", SECTIONS, "pub enum SignalName {"),
        keys::<When>("`when` of a step", SECTIONS, "pub struct When {"),
        keys::<Pattern>(
            "An event, where its order or time matters",
            PATTERNS,
            "pub struct Pattern {",
        ),
        verbs(),
        keys::<Expectation>("`expect`, each", EXPECT, "pub enum Expectation {"),
        keys::<StateName>("`all_reached`", EXPECT, "pub enum StateName {"),
        keys::<EventCount>(
            "`event`, `network_event`",
            EXPECT,
            "pub struct EventCount {",
        ),
        keys::<Eventually>("`eventually`", PATTERNS, "pub struct Eventually {"),
        keys::<LeadsTo>("`leads_to`", PATTERNS, "pub struct LeadsTo {"),
        keys::<Bound>("`always`, `at_end`", PATTERNS, "pub struct Bound {"),
        keys::<MetricClaim>("`metric`", PATTERNS, "pub struct MetricClaim {"),
        keys::<Limits>(
            "`sum`, `min`, `p50`, … of a metric",
            PATTERNS,
            "pub struct Limits {",
        ),
        keys::<LeftOpen>("`left_open`", EXPECT, "pub struct LeftOpen {"),
        table(
            "Events of the engine",
            golem_engine::EventKind::NAMES,
            &engine_events(),
        ),
        table(
            "Events of the network",
            mock_yagna::journal::Event::NAMES,
            &documented("mock-yagna/src/journal/event.rs", "pub enum Event {"),
        ),
        keys::<RealTime>(
            "`real_time`: what is in place of",
            SECTIONS,
            "pub struct RealTime {",
        ),
        keys::<Swept>(
            "`sweep`: what is in place of",
            SECTIONS,
            "pub struct Swept {",
        ),
        keys::<LawsSection>("`laws`", LAWS, "pub struct LawsSection {"),
        keys::<Exception>("`except`, each", LAWS, "pub struct Exception {"),
        laws(),
        catalog(),
    ]
    .concat()
}

#[test]
fn the_readme_lists_every_name_that_a_scenario_file_may_hold() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = read("scenarios/README.md");
    let (before, rest) = text.split_once(BEGIN).expect("where the lists begin");
    let (lists, after) = rest.split_once(END).expect("where they end");
    let made = page() + "\n";
    if std::env::var_os("GOLEM_UPDATE").is_some() {
        let text = [before, BEGIN, &made, END, after].concat();
        std::fs::write(path, text).expect("the page can be written");
        return;
    }
    let line = lists
        .lines()
        .zip(made.lines())
        .find(|(here, code)| here != code);
    assert!(
        lists == made,
        "README.md differs from the code; GOLEM_UPDATE=1 mends it. First: {line:#?}"
    );
}
