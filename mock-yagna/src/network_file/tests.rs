//! Network files as they are written, and the mistakes in them.

use std::time::Duration;

use super::*;

const WHOLE: &str = "
seed: 7
fleet: 2
app_keys:
  - { key: secret, name: me, allow_origins: ['http://localhost:8080'] }
allow_origins: ['*']
providers:
  - name: bob
    prices: { cpu_sec: 0.0001 }
    behaviour:
      approve_after: 30s
      invoice_factor: 2
      latency: { deploy: { min: 1s, max: 3s } }
      phases:
        - { from: 10m, until: 20m, change: { busy: true } }
faults:
  - { on: confirmAgreement, do: lose_answer, count: 1 }
  - { name: slow, on: [getInvoice, 'GET /me'], do: { delay: 2s }, probability: 0.5 }
images:
  abc: shell
  def: { scripted: [ { run: /bin/x, stdout: hello } ] }
latency: { deploy: 5s }
funds: 12.5
";

#[test]
fn a_file_describes_a_whole_network() {
    let file = NetworkFile::parse(WHOLE, "net.yaml").expect("a network");
    let config = file
        .config(Config::default(), Path::new("."))
        .expect("a configuration");
    config.check().expect("possible");
    let names: Vec<_> = config.providers.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["provider-1", "provider-2", "bob"]);
    assert_eq!(
        config.providers[2].behaviour.approve_after,
        Duration::from_secs(30)
    );
    assert_eq!(config.app_keys[0].allow_origins, ["http://localhost:8080"]);
    assert_eq!(config.allow_origins, ["*"]);
    assert_eq!(config.faults.len(), 2);
    assert_eq!(config.images.len(), 2);
    assert_eq!(config.latency.deploy, Duration::from_secs(5));
    assert_eq!(config.funds.to_string(), "12.5");
}

#[test]
fn every_fault_can_be_written_in_a_file() {
    let effects = "lose_answer, reset, unreachable, truncate, duplicate_events, reorder_events, \
        repeat_events, postpone_event, wedge, { delay: 1s }, { refuse: 408 }, \
        { misreport: 500 }, { twice: first }, { twice: second }, { lose_events: 0.25 }, \
        { cut_stream: 2 }, { restart: 5s }";
    let faults: String = effects
        .split(", ")
        .map(|effect| format!("  - {{ on: '* /market-api/*', do: {effect} }}\n"))
        .collect();
    let file = NetworkFile::parse(&format!("faults:\n{faults}"), "net.yaml");
    let file = file.expect("a network");
    let config = file.config(Config::default(), Path::new("."));
    let config = config.expect("a configuration");
    config.check().expect("possible");
    assert_eq!(config.faults.len(), 17);
}

#[test]
fn what_is_no_network_is_told_what_one_is() {
    let told = |text: &str| match NetworkFile::parse(text, "net.yaml") {
        Err(error) => error.to_string(),
        Ok(file) => panic!("{text:?} is {file:?}"),
    };
    for (text, begins) in [
        (
            "hello world",
            "net.yaml:1:1: here is `hello world`; expected `key: value` pairs",
        ),
        (
            "- 1\n- 2\n",
            "net.yaml:1:1: here is a list; expected `key: value` pairs",
        ),
        ("", "net.yaml:1:1: the file is empty"),
        ("seed: 1\n---\nseed: 2\n", "net.yaml:3:1: a second document"),
        ("{\"foo\": [}", "net.yaml:1:9: "),
    ] {
        let told = told(text);
        assert!(told.starts_with(begins), "{told}");
        for words in ["a scenario file is YAML", KEYS, "--help"] {
            assert!(told.contains(words), "{words} in {told}");
        }
        assert!(
            !told.contains("Option<") && !told.contains("from_str"),
            "{told}"
        );
    }
    let unknown = told("nope: 1");
    assert!(
        unknown.ends_with(&format!("there are: {KEYS}")),
        "{unknown}"
    );

    let binary = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(binary.path(), b"seed: 1\nabc\xff\xfe").expect("written");
    let error = NetworkFile::load(binary.path())
        .expect_err("no text")
        .to_string();
    assert!(error.contains(":2:4: this is no text in UTF-8"), "{error}");
    assert!(error.contains("a scenario file is YAML"), "{error}");
}

#[test]
fn a_mistake_is_named_with_line_and_column() {
    for (text, told) in [
        (
            "fleet: 1\nprovidrs: []\n",
            "net.yaml:2:1: unknown key `providrs`",
        ),
        (
            "providers:\n  - name: bob\n    capazity: 2\n",
            "net.yaml:3:5: unknown key `capazity`",
        ),
        (
            "faults:\n  - do: reset\n    onn: x\n",
            "net.yaml:3:5: unknown key `onn`",
        ),
    ] {
        let error = NetworkFile::parse(text, "net.yaml")
            .expect_err(text)
            .to_string();
        assert!(error.starts_with(told), "{error}");
    }
    let folder = NetworkFile::parse("images: { a: { folder: nowhere } }", "net.yaml");
    let config = folder
        .expect("readable")
        .config(Config::default(), Path::new("."));
    assert!(
        config
            .expect_err("no folder")
            .to_string()
            .contains("nowhere")
    );
}

/// As a scenario file has it; scenario files read their `providers` with the same grammar.
const GROUPS: &str = "
providers:
  - name: fleet
    count: 3
    prices: { cpu_sec: { between: [0.0001, 0.0002] }, duration_sec: { normal: [0.0003, 0.0001] } }
    resources: { mem_gib: { between: [4, 16] } }
  - name: bob
    constraints: '(golem.node.debug.subnet=public)'
";

#[test]
fn groups_of_providers_draw_their_numbers_by_the_seed() {
    let providers = |seed| {
        let file = NetworkFile::parse(GROUPS, "net.yaml").expect("a network");
        let base = Config {
            seed: Seed::from_u64(seed),
            ..Config::default()
        };
        let config = file.config(base, Path::new(".")).expect("a configuration");
        config.check().expect("possible");
        config.providers
    };
    let (one, other) = (providers(1), providers(2));
    let names: Vec<_> = one.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["fleet-1", "fleet-2", "fleet-3", "bob"]);
    assert_eq!(one, providers(1));
    assert_ne!(one[0].prices, one[1].prices);
    assert_ne!(one[0].prices, other[0].prices);
    assert_eq!(one[3].prices, ProviderSpec::new("bob").prices);
}

#[test]
fn groups_that_there_cannot_be_are_refused_where_they_are_written() {
    for (group, told) in [
        ("{ name: a, count: 0 }", "`count` is 0"),
        (
            "{ name: a, capacity: 0 }",
            "provider `a` has a capacity of 0",
        ),
        (
            "{ name: a, prices: { start: { between: [2, 1] } } }",
            "provider `a`: between 2 and 1",
        ),
        (
            "{ name: a, prices: { start: -1 } }",
            "provider `a` has a negative",
        ),
        (
            "{ name: a, capazity: 0 }",
            "unknown key `capazity` in `providers[0]`; did you mean `capacity`?",
        ),
        (
            "{ name: a, gpu: { memory_gib: -8 } }",
            "provider `a`: a `gpu` with -8 GiB of memory",
        ),
        ("{ name: a, gpu: { memory: 8 } }", "unknown key `memory`"),
    ] {
        let text = format!("providers:\n  - {group}\n");
        let error = NetworkFile::parse(&text, "net.yaml").expect_err(group);
        let error = error.to_string();
        assert!(
            error.starts_with("net.yaml:2:") && error.contains(told),
            "{error}"
        );
    }
    let twice = NetworkFile::parse("providers: [ { name: a }, { name: a } ]", "net.yaml");
    assert!(
        twice
            .expect_err("twice")
            .to_string()
            .contains("a second provider `a`")
    );
}

#[test]
fn a_graphics_processor_brings_its_runtime_and_properties_and_gives_way_to_what_is_written() {
    let text = "providers:
  - { name: usual, gpu: {} }
  - { name: big, gpu: { model: Big, memory_gib: 24 }, runtime: mine, properties: { golem.!exp.gap-35.v1.inf.gpu.cuda.enabled: false } }
";
    let file = NetworkFile::parse(text, "net.yaml").expect("a network");
    let config = file
        .config(Config::default(), Path::new("."))
        .expect("a configuration");
    let [usual, big] = config.providers.as_slice() else {
        panic!("{:?}", config.providers);
    };
    assert_eq!(usual.runtime, "vm-nvidia");
    assert!(usual.capabilities.iter().any(|it| it == "!exp:gpu"));
    let model = "golem.!exp.gap-35.v1.inf.gpu.model";
    assert_eq!(usual.properties[model], "NVIDIA GeForce RTX 3060");
    assert_eq!(
        (big.runtime.as_str(), &big.properties[model]),
        ("mine", &"Big".into())
    );
    let memory = "golem.!exp.gap-35.v1.inf.gpu.memory.total.gib";
    assert_eq!(big.properties[memory], 24.0);
    assert_eq!(
        big.properties["golem.!exp.gap-35.v1.inf.gpu.cuda.enabled"],
        false
    );
}

#[test]
fn a_name_is_enough_for_a_provider_and_unknown_keys_are_errors() {
    let providers = |provider: &str| {
        let file = NetworkFile::parse(&format!("providers: [{provider}]"), "net.yaml");
        let file = file.map_err(|error| error.to_string())?;
        let config = file.config(Config::default(), Path::new("."));
        Ok::<Vec<ProviderSpec>, String>(config.expect("a configuration").providers)
    };
    assert_eq!(
        providers(r#"{"name": "bob"}"#),
        Ok(vec![ProviderSpec::new("bob")])
    );
    for misspelt in [
        r#"{"name": "bob", "capazity": 2}"#,
        r#"{"name": "bob", "prices": {"cpu": "0.1"}}"#,
        r#"{"name": "bob", "behaviour": {"reject": 1}}"#,
    ] {
        let error = providers(misspelt).expect_err("a misspelt key");
        assert!(error.contains("unknown key"), "{error}");
    }
}
