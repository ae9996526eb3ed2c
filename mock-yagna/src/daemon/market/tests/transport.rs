//! Keys, headers, unknown routes, sizes.

use axum::body::Body;
use axum::http::{Method, Request};

use super::harness::{Answer, Api, MARKET, one};

async fn bare(api: &Api, path: &str, authorization: Option<&str>) -> Answer {
    let mut request = Request::get(path);
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    api.send(request.body(Body::empty()).expect("a request"))
        .await
}

#[tokio::test(start_paused = true)]
async fn a_missing_or_wrong_key_is_401_as_text_without_vary() {
    let api = Api::start(one());
    for (path, authorization, text) in [
        ("/me", None, "Missing application key"),
        ("/me", Some("Basic c2VjcmV0"), "Missing application key"),
        ("/me", Some("Bearer wrong"), "Invalid application key"),
        ("/me?authToken=nope", None, "Invalid application key"),
        ("/nonexistent", None, "Missing application key"),
    ] {
        let answer = bare(&api, path, authorization).await;
        assert_eq!((answer.status, answer.text.as_str()), (401, text), "{path}");
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(answer.headers.get("vary"), None);
    }
    assert_eq!(bare(&api, "/me?authToken=secret", None).await.status, 200);
    assert_eq!(bare(&api, "/version/get", None).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn me_names_the_identity_of_the_key() {
    let api = Api::start(one());
    let me = api.call(Method::GET, "/me", None).await;
    let other = api.as_other().call(Method::GET, "/me", None).await.json();
    assert_eq!(me.headers["content-type"], "application/json");
    assert_eq!(
        me.headers["vary"],
        "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    );
    let me = me.json();
    let id = me["identity"].as_str().expect("an id");
    assert!(id.len() == 42 && id.starts_with("0x") && id == id.to_lowercase());
    assert_eq!(me["role"], "manager");
    assert_ne!(me["identity"], other["identity"]);
}

#[tokio::test(start_paused = true)]
async fn unknown_routes_and_methods_are_404_and_empty() {
    let api = Api::start(one());
    for (method, path) in [
        (Method::GET, "/nonexistent"),
        (Method::POST, "/me"),
        (Method::HEAD, "/me"),
        (Method::PUT, "/market-api/v1/demands"),
        (Method::GET, "/market-api/v1/demands/"),
        (Method::GET, "/market-api/v1"),
        (Method::GET, "//me"),
    ] {
        let answer = api.call(method.clone(), path, None).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (404, ""),
            "{method} {path}"
        );
        assert_eq!(answer.headers.get("content-type"), None, "{method} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_are_limited_and_must_be_json() {
    let api = Api::start(one());
    let path = format!("{MARKET}/demands");
    let large = format!(
        r#"{{"properties":{{"a":"{}"}},"constraints":"()"}}"#,
        "x".repeat(2_200_000)
    );
    let (status, message) = api.call(Method::POST, &path, Some(&large)).await.refusal();
    assert_eq!(status, 400);
    assert!(message.contains("limit"), "{message}");
    let cut = api.call(Method::POST, &path, Some("{")).await;
    let words = "Json deserialize error: EOF while parsing an object at line 1 column 1";
    assert_eq!(cut.refusal(), (400, words.to_owned()));
    assert_eq!(cut.headers["content-type"], "application/json");
    let deep = "[".repeat(100_000);
    assert_eq!(api.call(Method::POST, &path, Some(&deep)).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn the_image_registry_names_any_image() {
    let api = Api::start(one());
    let hash = "d1ac20fe68acc37eba301878b0f6ab24929cf5f985ef420f6c479b14";
    let answer = bare(
        &api,
        &format!("/v1/image/info?count=true&hash={hash}"),
        None,
    )
    .await;
    assert_eq!(answer.status, 200);
    let image = answer.json();
    assert_eq!(image["sha3"], hash);
    assert!(image["http"].as_str().expect("a URL").contains(hash));
    assert_eq!(bare(&api, "/v1/image/info", None).await.status, 400);
}

/// golem-js reads the version by semver and takes nothing before 0.15.2.
#[tokio::test(start_paused = true)]
async fn the_version_is_told_to_everybody_and_new_enough() {
    let api = Api::start(one());
    let answer = bare(&api, "/version/get", None).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let told = answer.json();
    assert_eq!(told["pending"], serde_json::Value::Null);
    let current = &told["current"];
    let numbers = current["version"].as_str().expect("a version").split('.');
    let numbers: Vec<u32> = numbers.map(|n| n.parse().expect("a number")).collect();
    assert!(numbers.len() == 3 && numbers >= vec![0, 15, 2], "{told}");
    for stamp in ["releaseTs", "insertionTs", "updateTs"] {
        let text = current[stamp].as_str().expect("a time");
        assert!(text.parse::<jiff::civil::DateTime>().is_ok(), "{text}");
        assert!(
            !text.ends_with('Z') || stamp != "releaseTs",
            "naive: {text}"
        );
    }
    assert!(current["name"].is_string() && current["seen"].is_boolean());
    assert_eq!(bare(&api, "/dashboard", None).await.status, 404, "not 401");
    let registry = bare(&api, "/v1/image/info?dev=true&tag=golem/x:latest", None).await;
    let image = registry.json();
    for member in ["http", "https", "sha3"] {
        assert!(image[member].is_string(), "{member} in {image}");
    }
    assert!(image["size"].is_u64(), "{image}");
}
