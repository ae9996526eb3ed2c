//! `schema.json`, the JSON Schema of scenario files, is made here from the code: `GOLEM_UPDATE=1` writes it, without
//! it it is compared. The keys are those by which the types are read; what a key holds is the type of its member.

use std::path::Path;

use mock_yagna::behaviour::{CommandKind, Phase, Step as ProviderStep, StepLatency, Trouble};
use mock_yagna::config::{Counter, Latency, WhichAnswer};
use mock_yagna::network_file::{ACTS, ImageSource, Prices, ProviderGroup, Resources};
use mock_yagna::runtime::scripted::{ScriptedAnswer, ScriptedPrint};
use mock_yagna::{Behaviour, Effect, Fault, Gpu};
use serde_json::{Map, Value, json};

use super::Scenario;
use super::commands::{Command, Expected, PayloadSection, Rounds};
use super::expect::{EventCount, Expectation, LeftOpen, StateName};
use super::laws::{Exception, LawsSection};
use super::patterns::{Bound, Eventually, LeadsTo, Limits, MetricClaim, Pattern};
use super::reference::{names, read};
use super::sections::{
    Arrivals, FunctionSection, OWN, PlotKind, ProgramSection, RealTime, Requestor,
    RequestorSection, RestartKind, ServiceSection, SignalName, Step, Swept, TasksSection, Time,
    TimeMode, When,
};

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
const CONFIG: &str = "mock-yagna/src/config.rs";

/// A member of a struct or a variant of an enum, as the source has it.
#[derive(Debug, Default)]
struct Member {
    said: String,
    /// Its type; of a variant, what it holds, if anything.
    of: Option<String>,
    is_optional: bool,
}

/// The members of `item`, in order; those that are never read are left out.
fn members(path: &str, item: &str) -> Vec<Member> {
    let source = read(path);
    let begin = source
        .find(item)
        .unwrap_or_else(|| panic!("{path}: no {item}"));
    let head = &source[..begin];
    let attributes = head
        .lines()
        .rev()
        .take_while(|line| !line.trim().is_empty() && *line != "}");
    let all_optional = attributes
        .filter(|line| line.starts_with("#[serde("))
        .any(|line| line.contains("default"));
    let (mut all, mut member, mut attribute, mut depth) =
        (Vec::new(), Member::default(), String::new(), 0_usize);
    let (mut skipped, mut inside) = (false, false);
    for line in source[begin..].lines() {
        let line = line.trim();
        if depth == 1 {
            if let Some(said) = line.strip_prefix("///") {
                member.said = format!("{} {}", member.said, said.trim());
            } else if line.starts_with("#[") || inside {
                attribute.push_str(line);
                inside = !line.ends_with(']');
            } else if line.starts_with(|c: char| c.is_alphabetic()) {
                skipped |= attribute.contains("serde(skip)");
                member.is_optional = all_optional || attribute.contains("default");
                let line = line.trim_end_matches(['{', ' ']).trim_end_matches(',');
                member.of = match (line.split_once(": "), line.split_once('(')) {
                    (Some((_, of)), _) if line.starts_with("pub") => Some(of.to_owned()),
                    (_, Some((_, of))) => Some(of.trim_end_matches(')').to_owned()),
                    _ => None,
                };
                if !skipped {
                    all.push(std::mem::take(&mut member));
                }
                (member, attribute, skipped) = (Member::default(), String::new(), false);
            }
        }
        depth += line.matches('{').count();
        depth -= line.matches('}').count();
        if depth == 0 {
            break;
        }
    }
    all
}

/// What a type holds.
fn holds(of: &str, path: &str) -> Value {
    let of = of.trim();
    // A variant may say how what it holds is written.
    let of = of.rsplit_once("] ").map_or(of, |(_, of)| of);
    for wrapper in ["Option<", "Spanned<", "Box<"] {
        if let Some(inner) = of.strip_prefix(wrapper) {
            return holds(inner.strip_suffix('>').expect("closed"), path);
        }
    }
    if let Some(inner) = of.strip_prefix("Vec<") {
        return json!({"type": "array", "items": holds(inner.strip_suffix('>').expect("closed"), path)});
    }
    for map in ["IndexMap<String, ", "BTreeMap<String, "] {
        if let Some(inner) = of.strip_prefix(map) {
            let inner = holds(inner.strip_suffix('>').expect("closed"), path);
            return json!({"type": "object", "additionalProperties": inner});
        }
    }
    let verbs = ACTS
        .iter()
        .map(|(name, _)| *name)
        .chain(OWN.iter().map(|(name, _)| *name));
    match of {
        "String" | "PathBuf" | "Timestamp" => json!({"type": "string"}),
        "bool" => json!({"type": "boolean"}),
        "u16" | "u32" | "u64" | "usize" => json!({"type": "integer", "minimum": 0}),
        "i32" => json!({"type": "integer"}),
        "f64" => json!({"type": "number"}),
        "Amount" => json!({"type": ["number", "string"]}),
        "IndexMap<String, Value>" => json!({"type": "object"}),
        "Glm" | "Factor" => json!({"type": ["number", "string"]}),
        "Point" | "Goal" => json!({"type": "string"}),
        "DaemonVersion" => json!({"enum": ["0.17", "0.18", 0.17, 0.18]}),
        "Span" | "Duration" => json!({"$ref": "#/$defs/duration"}),
        "Words" | "Targets" => json!({"type": ["string", "array"], "items": {"type": "string"}}),
        "Value" | "Said" | "AppKey" | "Drawn" | "Delay" | "Count" => match of {
            "Drawn" => json!({"$ref": "#/$defs/number"}),
            "Delay" => json!({"$ref": "#/$defs/delay"}),
            "Count" => json!({"$ref": "#/$defs/count"}),
            _ => json!(true),
        },
        "Properties" | "Map<String, Value>" | "BTreeMap<u16, SocketAddr>" => {
            json!({"type": "object"})
        }
        "LawName" => json!({"enum": super::laws::names().collect::<Vec<_>>()}),
        "Verb" => json!({"enum": verbs.collect::<Vec<_>>()}),
        "Step" if path.starts_with("mock-yagna") => json!({"$ref": "#/$defs/ProviderStep"}),
        name => {
            assert!(
                name.chars().all(char::is_alphanumeric),
                "{path}: what is a {name}?"
            );
            json!({"$ref": format!("#/$defs/{name}")})
        }
    }
}

fn said(member: &Member) -> String {
    member.said.trim().replace("[`", "`").replace("`]", "`")
}

/// Pairs with these keys; `whole` says that what must be there has to stand here, and in no other part.
fn pairs(keys: &[&str], path: &str, item: &str, whole: bool) -> Value {
    let members = members(path, item);
    assert_eq!(keys.len(), members.len(), "{item}: {keys:?} {members:#?}");
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (key, member) in keys.iter().zip(&members) {
        let of = member.of.as_deref().expect("a type");
        let mut schema = holds(of, path);
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".into(), said(member).into());
        }
        if schema == json!(true) {
            schema = json!({"description": said(member)});
        }
        properties.insert((*key).to_owned(), schema);
        if whole && !member.is_optional && !of.starts_with("Option<") {
            required.push(*key);
        }
    }
    let mut schema =
        json!({"type": "object", "additionalProperties": false, "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    // A section without a key is written as nothing.
    if !whole {
        schema["type"] = json!(["object", "null"]);
    }
    schema
}

/// One of several names, each with what it holds, if anything.
fn choice(keys: &[&str], path: &str, item: &str) -> Value {
    let members = members(path, item);
    assert_eq!(keys.len(), members.len(), "{item}: {keys:?} {members:#?}");
    let each = keys
        .iter()
        .zip(&members)
        .map(|(key, member)| match &member.of {
            None => json!({"const": key, "description": said(member)}),
            Some(of) => json!({
                "type": "object",
                "description": said(member),
                "properties": {*key: holds(of, path)},
                "required": [key],
                "additionalProperties": false,
            }),
        });
    json!({"anyOf": each.collect::<Vec<_>>()})
}

fn schema() -> Value {
    let mut root = pairs(
        names::<Scenario>(),
        "scenarios/src/language.rs",
        "pub struct Scenario {",
        false,
    );
    let files = json!({
        "description": "Files, or scenarios of the catalog, that this one builds on: its keys replace theirs.",
        "type": ["string", "array"],
        "items": {"type": "string"},
    });
    let parts = json!({
        "description": "Parts of this file: their lists come before its own.",
        "type": ["string", "array"],
        "items": {"type": "string"},
    });
    root["properties"]["extends"] = files;
    root["properties"]["include"] = parts;
    root["type"] = json!("object");
    root["anyOf"] =
        json!([{"required": ["name"]}, {"required": ["extends"]}, {"required": ["include"]}]);
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("A scenario of `rehearse`");
    root["$defs"] = json!({
        "duration": {"type": ["string", "number"], "minimum": 0, "description": "As `90s`, `250ms`, `1h 30m`, or a number of seconds."},
        "delay": {"description": "A duration, or where durations are drawn from.", "anyOf": [
            {"$ref": "#/$defs/duration"},
            delay(&["min", "max"]), delay(&["mean", "deviation"]), delay(&["mean"]),
        ]},
        "number": {"description": "A number, or where numbers are drawn from.", "anyOf": [
            {"type": ["number", "string"]}, two("between"), two("normal"),
        ]},
        "count": {"description": "A number, or a range.", "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "object", "additionalProperties": false, "minProperties": 1, "properties": {
                "at_least": {"type": "integer", "minimum": 0}, "at_most": {"type": "integer", "minimum": 0},
            }},
        ]},
    });
    let definitions = [
        (
            "Time",
            pairs(names::<Time>(), SECTIONS, "pub struct Time {", false),
        ),
        (
            "TimeMode",
            choice(names::<TimeMode>(), SECTIONS, "pub enum TimeMode {"),
        ),
        (
            "ProviderGroup",
            pairs(
                names::<ProviderGroup>(),
                PROVIDERS,
                "pub struct ProviderGroup {",
                true,
            ),
        ),
        (
            "Prices",
            pairs(names::<Prices>(), PROVIDERS, "pub struct Prices {", true),
        ),
        (
            "Resources",
            pairs(
                names::<Resources>(),
                PROVIDERS,
                "pub struct Resources {",
                true,
            ),
        ),
        (
            "Gpu",
            pairs(names::<Gpu>(), PROVIDER, "pub struct Gpu {", true),
        ),
        (
            "Counter",
            pairs(names::<Counter>(), PROVIDER, "pub struct Counter {", true),
        ),
        (
            "Behaviour",
            pairs(
                names::<Behaviour>(),
                BEHAVIOUR,
                "pub struct Behaviour {",
                true,
            ),
        ),
        (
            "StepLatency",
            pairs(
                names::<StepLatency>(),
                STEP,
                "pub struct StepLatency {",
                true,
            ),
        ),
        (
            "Trouble",
            pairs(names::<Trouble>(), STEP, "pub struct Trouble {", true),
        ),
        (
            "CommandKind",
            choice(names::<CommandKind>(), STEP, "pub enum CommandKind {"),
        ),
        (
            "ProviderStep",
            choice(names::<ProviderStep>(), STEP, "pub enum Step {"),
        ),
        (
            "Phase",
            pairs(names::<Phase>(), BEHAVIOUR, "pub struct Phase {", true),
        ),
        (
            "Latency",
            pairs(names::<Latency>(), CONFIG, "pub struct Latency {", false),
        ),
        (
            "Fault",
            pairs(names::<Fault>(), FAULT, "pub struct Fault {", true),
        ),
        (
            "Effect",
            choice(names::<Effect>(), FAULT, "pub enum Effect {"),
        ),
        (
            "WhichAnswer",
            choice(names::<WhichAnswer>(), FAULT, "pub enum WhichAnswer {"),
        ),
        (
            "Requestor",
            pairs(
                names::<Requestor>(),
                SECTIONS,
                "pub struct Requestor {",
                false,
            ),
        ),
        (
            "RequestorSection",
            pairs(
                names::<RequestorSection>(),
                SECTIONS,
                "pub struct RequestorSection {",
                false,
            ),
        ),
        (
            "ImageSource",
            choice(names::<ImageSource>(), IMAGES, "pub enum ImageSource {"),
        ),
        (
            "ScriptedAnswer",
            pairs(
                names::<ScriptedAnswer>(),
                SCRIPTED,
                "pub struct ScriptedAnswer {",
                true,
            ),
        ),
        (
            "ScriptedPrint",
            pairs(
                names::<ScriptedPrint>(),
                SCRIPTED,
                "pub struct ScriptedPrint {",
                true,
            ),
        ),
        (
            "ServiceSection",
            pairs(
                names::<ServiceSection>(),
                SECTIONS,
                "pub struct ServiceSection {",
                false,
            ),
        ),
        (
            "RestartKind",
            choice(names::<RestartKind>(), SECTIONS, "pub enum RestartKind {"),
        ),
        (
            "PlotKind",
            choice(names::<PlotKind>(), SECTIONS, "pub enum PlotKind {"),
        ),
        (
            "TasksSection",
            pairs(
                names::<TasksSection>(),
                SECTIONS,
                "pub struct TasksSection {",
                false,
            ),
        ),
        (
            "FunctionSection",
            pairs(
                names::<FunctionSection>(),
                SECTIONS,
                "pub struct FunctionSection {",
                false,
            ),
        ),
        (
            "ProgramSection",
            pairs(
                names::<ProgramSection>(),
                SECTIONS,
                "pub struct ProgramSection {",
                false,
            ),
        ),
        (
            "Arrivals",
            pairs(names::<Arrivals>(), SECTIONS, "pub struct Arrivals {", true),
        ),
        (
            "PayloadSection",
            pairs(
                names::<PayloadSection>(),
                COMMANDS,
                "pub struct PayloadSection {",
                false,
            ),
        ),
        (
            "Rounds",
            pairs(names::<Rounds>(), COMMANDS, "pub struct Rounds {", false),
        ),
        (
            "Command",
            pairs(names::<Command>(), COMMANDS, "pub struct Command {", true),
        ),
        (
            "Expected",
            pairs(names::<Expected>(), COMMANDS, "pub struct Expected {", true),
        ),
        (
            "Expectation",
            choice(names::<Expectation>(), EXPECT, "pub enum Expectation {"),
        ),
        (
            "StateName",
            choice(names::<StateName>(), EXPECT, "pub enum StateName {"),
        ),
        (
            "EventCount",
            pairs(
                names::<EventCount>(),
                EXPECT,
                "pub struct EventCount {",
                true,
            ),
        ),
        (
            "SignalName",
            choice(names::<SignalName>(), SECTIONS, "pub enum SignalName {"),
        ),
        (
            "LawsSection",
            pairs(
                names::<LawsSection>(),
                LAWS,
                "pub struct LawsSection {",
                false,
            ),
        ),
        (
            "Exception",
            pairs(names::<Exception>(), LAWS, "pub struct Exception {", true),
        ),
        (
            "LeftOpen",
            pairs(names::<LeftOpen>(), EXPECT, "pub struct LeftOpen {", true),
        ),
        (
            "RealTime",
            pairs(
                names::<RealTime>(),
                SECTIONS,
                "pub struct RealTime {",
                false,
            ),
        ),
        (
            "Swept",
            pairs(names::<Swept>(), SECTIONS, "pub struct Swept {", false),
        ),
        (
            "Step",
            pairs(names::<Step>(), SECTIONS, "pub struct Step {", true),
        ),
        (
            "When",
            pairs(names::<When>(), SECTIONS, "pub struct When {", true),
        ),
        (
            "Pattern",
            pairs(names::<Pattern>(), PATTERNS, "pub struct Pattern {", true),
        ),
        (
            "Eventually",
            pairs(
                names::<Eventually>(),
                PATTERNS,
                "pub struct Eventually {",
                true,
            ),
        ),
        (
            "LeadsTo",
            pairs(names::<LeadsTo>(), PATTERNS, "pub struct LeadsTo {", true),
        ),
        (
            "Bound",
            pairs(names::<Bound>(), PATTERNS, "pub struct Bound {", true),
        ),
        (
            "MetricClaim",
            pairs(
                names::<MetricClaim>(),
                PATTERNS,
                "pub struct MetricClaim {",
                true,
            ),
        ),
        (
            "Limits",
            pairs(names::<Limits>(), PATTERNS, "pub struct Limits {", true),
        ),
    ];
    for (name, definition) in definitions {
        root["$defs"][name] = definition;
    }
    root
}

fn delay(keys: &[&str]) -> Value {
    let properties = keys
        .iter()
        .map(|key| ((*key).to_owned(), json!({"$ref": "#/$defs/duration"})));
    json!({
        "type": "object",
        "properties": properties.collect::<Map<_, _>>(),
        "required": keys,
        "additionalProperties": false,
    })
}

fn two(key: &str) -> Value {
    json!({
        "type": "object",
        "properties": {key: {"type": "array", "items": {"type": ["number", "string"]}, "minItems": 2, "maxItems": 2}},
        "required": [key],
        "additionalProperties": false,
    })
}

#[test]
fn the_schema_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.json");
    let made = format!("{:#}\n", schema());
    for definition in made.match_indices("#/$defs/") {
        let name = made[definition.0 + 8..].split('"').next().expect("a name");
        assert!(
            made.contains(&format!("    \"{name}\": {{")),
            "{name} is not defined"
        );
    }
    if std::env::var_os("GOLEM_UPDATE").is_some() {
        std::fs::write(path, made).expect("the schema can be written");
        return;
    }
    assert!(
        read("scenarios/schema.json") == made,
        "schema.json differs from the code; GOLEM_UPDATE=1 mends it"
    );
}
