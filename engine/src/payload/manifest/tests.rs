//! What a manifest says, and what is refused of one, with the place.

use serde_json::json;

use super::*;
use crate::payload::{Payload, vm};

const HASH: &str = "8b11df59f84358d47fc6776d0bb7290b0054c15ded2d6f54cf634488";

fn whole() -> Manifest {
    Manifest::new()
        .version("0.1.0")
        .name("prices")
        .description("what things cost")
        .application_version("1.2.3")
        .author("one")
        .author("two")
        .homepage("https://example.org")
        .image(HASH, ["http://example.org/image.gvmi"])
        .payload(
            ManifestPayload::new(format!("sha3:{HASH}"), ["http://example.org/arm.gvmi"])
                .platform("aarch64", "linux"),
        )
        .commands(["run /bin/date .*", "transfer .*"])
        .outbound_urls(["https://api.example.org", "https://example.org:8080/path"])
        .outbound_protocols(["https"])
        .created_at("2026-01-02T03:04:05Z".parse().expect("a time"))
        .expires_at("2027-01-02T03:04:05Z".parse().expect("a time"))
}

#[test]
fn a_manifest_says_what_the_exe_unit_reads() {
    let json: Value = serde_json::from_str(&whole().to_json().expect("good")).expect("JSON");
    let platform = |arch| json!({"arch": arch, "os": "linux"});
    assert_eq!(
        json,
        json!({
            "version": "0.1.0",
            "createdAt": "2026-01-02T03:04:05Z",
            "expiresAt": "2027-01-02T03:04:05Z",
            "metadata": {
                "name": "prices", "description": "what things cost", "version": "1.2.3",
                "authors": ["one", "two"], "homepage": "https://example.org",
            },
            "payload": [
                {"platform": platform("x86_64"), "hash": format!("sha3:{HASH}"), "urls": ["http://example.org/image.gvmi"]},
                {"platform": platform("aarch64"), "hash": format!("sha3:{HASH}"), "urls": ["http://example.org/arm.gvmi"]},
            ],
            "compManifest": {
                "version": "0.1.0",
                "script": {"commands": ["run /bin/date .*", "transfer .*"], "match": "regex"},
                "net": {"inet": {"out": {
                    "protocols": ["https"],
                    "urls": ["https://api.example.org", "https://example.org:8080/path"],
                }}},
            },
        })
    );
}

#[test]
fn a_small_manifest_allows_every_command_and_nothing_of_the_internet() {
    let small = Manifest::new().payload(ManifestPayload::new(HASH, ["http://h/i"]).any_platform());
    let json: Value = serde_json::from_str(&small.to_json().expect("good")).expect("JSON");
    assert_eq!(
        json,
        json!({
            "version": "0.0.0", "createdAt": "2020-01-01T00:00:00Z", "expiresAt": "2100-01-01T00:00:00Z",
            "payload": [{"hash": format!("sha3:{HASH}"), "urls": ["http://h/i"]}],
        })
    );
    let all = small
        .clone()
        .match_strictly()
        .command("run /bin/date")
        .outbound_unrestricted();
    let json: Value = serde_json::from_str(&all.to_json().expect("good")).expect("JSON");
    assert_eq!(json["compManifest"]["script"]["match"], "strict");
    assert_eq!(
        json["compManifest"]["net"]["inet"]["out"]["unrestricted"],
        json!({"urls": true})
    );
    assert_eq!(
        small.to_base64(),
        small.to_base64(),
        "a signature stays true"
    );
}

#[test]
fn json_and_base64_are_read_again() {
    let manifest = whole();
    for text in [
        manifest.to_json().expect("good"),
        format!("\n {}", manifest.to_json().expect("good")),
        manifest.to_base64().expect("good"),
        format!("{}\n", manifest.to_base64().expect("good")),
    ] {
        let read = Manifest::parse(&text).expect("a manifest");
        assert_eq!(read, manifest);
        assert_eq!(read.to_json(), manifest.to_json());
    }
    let later = Manifest::new()
        .command("run .*")
        .version("2.0.0")
        .image(HASH, ["http://h/i"]);
    let json: Value = serde_json::from_str(&later.to_json().expect("good")).expect("JSON");
    assert_eq!(json["compManifest"]["version"], "2.0.0");
    let payload: Payload = vm::manifest(manifest.to_json().expect("good")).into();
    assert_eq!(
        payload.properties()["golem.srv.comp.payload"],
        manifest.to_base64().expect("good")
    );
    assert_eq!(payload.check(), Ok(()));
}

#[test]
fn a_malformed_manifest_is_refused_with_the_place() {
    let good: Value = serde_json::from_str(&whole().to_json().expect("good")).expect("JSON");
    type Change = fn(&mut Value);
    let cases: [(Change, &str, &str); 22] = [
        (|it| *it = json!([]), "manifest", "an object, not a list"),
        (
            |it| drop(it.as_object_mut().expect("one").remove("version")),
            "manifest",
            "no `version`",
        ),
        (|it| it["version"] = json!("1"), "version", "three numbers"),
        (
            |it| it["version"] = json!(1),
            "version",
            "a text, not a number",
        ),
        (
            |it| it["createdAt"] = json!("yesterday"),
            "createdAt",
            "no time",
        ),
        (
            |it| it["expiresAt"] = json!("2025-01-01T00:00:00Z"),
            "expiresAt",
            "over before it begins",
        ),
        (|it| it["payload"] = json!([]), "payload", "names no image"),
        (
            |it| it["payload"] = json!({}),
            "payload",
            "a list, not an object",
        ),
        (
            |it| it["payload"][1]["hash"] = json!("abc"),
            "payload[1].hash",
            "no hash",
        ),
        (
            |it| it["payload"][0]["hash"] = json!("sha3:xyz!"),
            "payload[0].hash",
            "no hash",
        ),
        (
            |it| it["payload"][0]["urls"] = json!([]),
            "payload[0].urls",
            "no place",
        ),
        (
            |it| it["payload"][0]["urls"][0] = json!("image.gvmi"),
            "payload[0].urls[0]",
            "no URL",
        ),
        (
            |it| it["payload"][0]["platform"] = json!({"os": "linux"}),
            "payload[0].platform",
            "no `arch`",
        ),
        (
            |it| it["metadata"]["name"] = json!(""),
            "metadata.name",
            "it is empty",
        ),
        (
            |it| it["metadata"]["authors"] = json!(["a", 7]),
            "metadata.authors[1]",
            "a text, not a number",
        ),
        (
            |it| it["compManifest"] = json!({}),
            "compManifest",
            "no `version`",
        ),
        (
            |it| it["compManifest"]["script"] = json!({}),
            "compManifest.script",
            "no `commands`",
        ),
        (
            |it| it["compManifest"]["script"]["match"] = json!("glob"),
            "compManifest.script.match",
            "`strict` or `regex`",
        ),
        (
            |it| it["compManifest"]["script"]["commands"] = json!("run"),
            "compManifest.script.commands",
            "a list, not a text",
        ),
        (
            |it| it["compManifest"]["net"] = json!(true),
            "compManifest.net",
            "an object, not a truth value",
        ),
        (
            |it| it["compManifest"]["net"]["inet"]["out"]["urls"] = json!(["api"]),
            "compManifest.net.inet.out.urls[0]",
            "no URL",
        ),
        (
            |it| it["compManifest"]["net"]["inet"]["out"]["unrestricted"] = json!(true),
            "compManifest.net.inet.out.unrestricted",
            "an object",
        ),
    ];
    for (change, expected, words) in cases {
        let mut bad = good.clone();
        change(&mut bad);
        let text = bad.to_string();
        for text in [text.clone(), base64(text.as_bytes())] {
            let payload = Payload::from(vm::manifest(text.clone()));
            let Err(PayloadError::Manifest { place, why }) = payload.check() else {
                panic!("{expected} is taken: {text}");
            };
            // A list is told from JSON by its brace only.
            if !text.starts_with('[') {
                assert_eq!(place, expected, "{why}");
                assert!(why.contains(words), "{place}: {why}");
            }
        }
    }
    for (text, words) in [
        ("", "neither JSON nor that in base64: it is empty"),
        ("not base64!", "neither JSON nor that in base64"),
        ("bWFu", "it is no JSON"),
        ("{\"version\": ", "it is no JSON: EOF"),
    ] {
        let error = Manifest::parse(text).expect_err(text).to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn what_is_built_wrongly_is_refused_with_the_place() {
    let image = || Manifest::new().image(HASH, ["http://h/i"]);
    for (manifest, place) in [
        (Manifest::new(), "payload"),
        (Manifest::new().image("", ["http://h/i"]), "payload[0].hash"),
        (
            Manifest::new().image(HASH, [] as [&str; 0]),
            "payload[0].urls",
        ),
        (image().version("new"), "version"),
        (image().description("without a name"), "metadata.name"),
        (
            image().outbound_url("example.org"),
            "compManifest.net.inet.out.urls[0]",
        ),
        (image().expires_at(Timestamp::UNIX_EPOCH), "expiresAt"),
    ] {
        let Err(PayloadError::Manifest { place: told, .. }) = manifest.check() else {
            panic!("{place} is taken");
        };
        assert_eq!(told, place);
        assert!(Payload::from(vm::manifest(&manifest)).check().is_err());
    }
}

#[test]
fn a_signature_is_made_of_the_base64_by_whoever_has_the_key() {
    let manifest = whole();
    let text = manifest.to_base64().expect("good");
    let signed = vm::manifest(&manifest).sign_with("sha256", b"certificate", |signed: &[u8]| {
        assert_eq!(signed, text.as_bytes());
        Ok::<_, std::io::Error>(b"signature".to_vec())
    });
    let payload: Payload = signed.into();
    assert_eq!(payload.check(), Ok(()));
    assert_eq!(
        payload.properties()["golem.srv.comp.payload.sig"],
        base64(b"signature")
    );
    assert_eq!(
        payload.properties()["golem.srv.comp.payload.sig.algorithm"],
        "sha256"
    );
    assert_eq!(
        payload.properties()["golem.srv.comp.payload.cert"],
        base64(b"certificate")
    );
    let unsigned: Payload = vm::manifest(&manifest)
        .sign_with("sha256", b"c", |_: &[u8]| {
            Err::<Vec<u8>, _>("the key is locked")
        })
        .into();
    let error = unsigned
        .check()
        .expect_err("there is no signature")
        .to_string();
    assert!(error.contains("signature: the key is locked"), "{error}");
}

#[test]
fn parts_of_a_signature_come_together_or_not_at_all() {
    let manifest = || vm::manifest(whole());
    for (payload, expected) in [
        (
            manifest().signature("c2ln"),
            "signature algorithm: a signature, its algorithm",
        ),
        (
            manifest().signature("c2ln").signature_algorithm("sha256"),
            "certificate: a signature",
        ),
        (manifest().certificate("Y2VydA=="), "signature: a signature"),
        (
            manifest()
                .signature("!")
                .signature_algorithm("sha256")
                .certificate("Y2VydA=="),
            "signature: it is not in base64",
        ),
        (
            manifest()
                .signature("c2ln")
                .signature_algorithm("sha256")
                .certificate("-----BEGIN"),
            "certificate: it is not in base64",
        ),
        (
            manifest()
                .node_descriptor(json!({}))
                .signature_algorithm("sha256"),
            "signature algorithm: with a node descriptor there is none",
        ),
        (
            manifest().node_descriptor("text"),
            "node descriptor: it is an object",
        ),
    ] {
        let error = Payload::from(payload)
            .check()
            .expect_err(expected)
            .to_string();
        assert!(error.contains(expected), "{error}: {expected}");
    }
    let partner = json!({"nodeDescriptor": {"nodeId": "0x00"}});
    let payload = Payload::from(manifest().node_descriptor(partner.clone()));
    assert_eq!(payload.check(), Ok(()));
    assert_eq!(
        payload.properties()["golem.!exp.gap-31.v0.node.descriptor"],
        partner
    );
}
