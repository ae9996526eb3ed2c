//! Payloads, derived from structs and put together by hand.

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::payload::vm;
// Derived code names the engine as its users do.
use crate as golem_engine;
use crate::props::{inf, runtime};

const CUSTOM_RUNTIME_NAME: &str = "my-runtime";
const CUSTOM_PROPERTY: &str = "golem.srv.app.myprop";

/// The example of the Python API, line by line.
#[derive(IntoPayload)]
#[golem(crate = golem_engine)]
struct MyPayload {
    #[golem(property = CUSTOM_PROPERTY, default = "myvalue")]
    myprop: String,
    #[golem(constraint = runtime::NAME, default = CUSTOM_RUNTIME_NAME)]
    runtime: String,
    #[golem(constraint = inf::MEM, operator = ">=", default = 16)]
    min_mem_gib: f64,
    #[golem(constraint = inf::STORAGE, operator = ">=", default = 1024)]
    min_storage_gib: f64,
}

#[test]
fn the_payload_of_the_reference_is_ported_line_by_line() {
    let payload = Payload::from(MyPayload {
        myprop: "othervalue".into(),
        min_mem_gib: 32.0,
        ..MyPayload::default()
    });
    assert_eq!(
        serde_json::to_value(payload.properties()).expect("JSON"),
        json!({"golem.srv.app.myprop": "othervalue"})
    );
    assert_eq!(
        payload.constraints(),
        [
            "(golem.runtime.name=my-runtime)",
            "(golem.inf.mem.gib>=32)",
            "(golem.inf.storage.gib>=1024)",
        ]
    );
    assert_eq!(
        payload.to_string(),
        "properties:\n  golem.srv.app.myprop = \"othervalue\"\nconstraints:\n  (golem.runtime.name=my-runtime)\n  \
         (golem.inf.mem.gib>=32)\n  (golem.inf.storage.gib>=1024)"
    );
}

#[derive(Clone, PayloadValue)]
#[golem(crate = golem_engine)]
enum Colour {
    SkyBlue,
    #[golem(value = "RED")]
    Red,
    #[golem(value = 7)]
    Seventh,
}

#[derive(PayloadValue)]
#[golem(crate = golem_engine)]
struct Port(u16);

#[derive(PayloadValue)]
#[golem(crate = golem_engine)]
struct Tag<T: PayloadValue> {
    text: T,
}

#[derive(IntoPayload)]
#[golem(crate = golem_engine)]
struct Everything<T: PayloadValue> {
    #[golem(property = "golem.srv.app.colour", default = Colour::SkyBlue)]
    colour: Colour,
    #[golem(property = "golem.srv.app.port", default = Port(80))]
    port: Port,
    #[golem(property = "golem.srv.app.motif")]
    motif: Option<String>,
    #[golem(property = "golem.srv.app.colours")]
    colours: Vec<Colour>,
    #[golem(property = "golem.srv.app.until", default)]
    until: Timestamp,
    #[golem(property = "golem.srv.app.generic")]
    generic: Option<T>,
    #[golem(constraint = "golem.runtime.capabilities")]
    capabilities: Vec<String>,
    #[golem(constraint = "golem.inf.cpu.threads", operator = ">", default = 3)]
    above: u32,
    #[golem(constraint = "golem.inf.cpu.threads", operator = "<=")]
    at_most: Option<u8>,
    #[golem(
        constraint = "golem.node.id.name",
        operator = "!=",
        default = "bad (one)"
    )]
    not: &'static str,
    #[golem(
        constraint = "golem.runtime.version$v",
        operator = ">=",
        default = "0.4.0"
    )]
    version: String,
    #[golem(constraint = "golem.srv.caps.multi-activity", default = true)]
    multi: bool,
    #[golem(constraint = "golem.inf.mem.gib", operator = "<", default = -1.5)]
    odd: f32,
    #[golem(flatten, default = vm::repo("abc").min_mem_gib(2.0))]
    image: vm::VmRepo,
    #[golem(skip, default)]
    unsaid: u8,
}

#[test]
fn a_derived_payload_says_what_its_fields_say_and_no_more() {
    let said: Everything<Tag<&str>> = Everything {
        motif: None,
        colours: vec![Colour::Red, Colour::Seventh],
        generic: Some(Tag { text: "one" }),
        capabilities: vec!["vpn".into(), "inet".into()],
        ..Everything::default()
    };
    assert_eq!(said.unsaid, 0);
    let payload = Payload::from(&said);
    assert_eq!(payload.check(), Ok(()));
    assert_eq!(
        serde_json::to_value(payload.properties()).expect("JSON"),
        json!({
            "golem.srv.app.colour": "sky-blue",
            "golem.srv.app.port": 80,
            "golem.srv.app.colours": ["RED", 7],
            "golem.srv.app.until": 0,
            "golem.srv.app.generic": "one",
            "golem.srv.comp.vm.package_format": "gvmkit-squash",
        })
    );
    assert_eq!(
        payload.constraints(),
        [
            "(golem.runtime.capabilities=vpn)",
            "(golem.runtime.capabilities=inet)",
            "(golem.inf.cpu.threads>3)",
            "(!(golem.node.id.name=bad \\(one\\x29$*))",
            "(golem.runtime.version$v>=0.4.0)",
            "(golem.srv.caps.multi-activity=true)",
            "(golem.inf.mem.gib<-1.5)",
            "(golem.inf.mem.gib>=2)",
            "(golem.inf.storage.gib>=2)",
            "(golem.inf.cpu.threads>=1)",
            "(golem.runtime.name=vm)",
        ]
    );
    assert!(
        payload
            .to_string()
            .contains("golem.srv.comp.task_package = (image abc, looked up when it starts)")
    );
    let limited = Everything::<String> {
        at_most: Some(8),
        ..Everything::default()
    };
    assert!(
        Payload::from(limited)
            .constraints()
            .contains(&"(golem.inf.cpu.threads<=8)".to_owned())
    );
}

#[test]
fn a_value_that_cannot_be_told_is_refused_by_the_name_of_its_property() {
    #[derive(IntoPayload)]
    #[golem(crate = golem_engine)]
    struct Mine {
        #[golem(property = "golem.srv.app.share")]
        share: f64,
        #[golem(constraint = "golem.inf.mem.gib", operator = ">=")]
        memory: f64,
    }
    let refused = |share, memory| Payload::from(Mine { share, memory }).check();
    assert_eq!(refused(1.0, 2.0), Ok(()));
    let Err(PayloadError::Value { name, why }) = refused(f64::NAN, 2.0) else {
        panic!("a share that is none is told");
    };
    assert_eq!(name, "golem.srv.app.share");
    assert!(why.contains("NaN"), "{why}");
    let error = refused(1.0, f64::INFINITY)
        .expect_err("endless memory")
        .to_string();
    assert!(
        error.contains("golem.inf.mem.gib>=") && error.contains("inf"),
        "{error}"
    );
}

#[test]
fn of_two_payloads_the_later_ones_properties_and_image_count_and_all_constraints() {
    let one = Payload::from(vm::repo("one"))
        .property("a", 1)
        .property("b", 1);
    let two = Payload::from(vm::tag("two/two:2"))
        .property("b", 2)
        .implicit_init(false);
    let both = one.clone().merge(two);
    assert_eq!(both.properties()["a"], 1);
    assert_eq!(both.properties()["b"], 2);
    assert_eq!(both.constraints().len(), 8);
    assert!(both.to_string().contains("image two/two:2"), "{both}");
    assert!(
        one.clone()
            .merge(Payload::new())
            .to_string()
            .contains("image one")
    );
    assert_ne!(both, one);
    let faulty = Payload::new().merge(Payload::new().constraint("(a>=)"));
    assert!(faulty.check().is_err());
    assert!(
        faulty.to_string().contains("refused: constraint `(a>=)`"),
        "{faulty}"
    );
}
