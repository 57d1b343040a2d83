//! Holds cargo-lambda's settings in `Cargo.toml`, with which SAM builds the functions, to the code.

use std::collections::BTreeMap;
use std::process::Command;

use local::bundle::FUNCTIONS;
use local::gateway::gateway_routes;
use serde_json::{Value, json};

/// The methods that the router lists for a path with two functions. It knows no method that is not
/// listed, so these replace `ANY`.
const METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

fn settings() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["metadata"]["lambda"].clone()
}

#[test]
fn the_functions_are_built_and_nothing_else() {
    let mut names = FUNCTIONS.map(|function| function.name);
    names.sort_unstable();
    let expected = json!({ "packages": names, "bin": names });
    assert_eq!(settings()["build"], expected);
}

#[test]
fn its_router_has_the_gateways_routes() {
    let mut by_path: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for route in gateway_routes() {
        let (method, path) = route.key.split_once(' ').unwrap();
        let functions = by_path.entry(path).or_default();
        functions.insert(method, route.function.name());
    }
    let router = settings()["watch"]["router"].clone();
    let paths: Vec<_> = router.as_object().unwrap().keys().collect();
    assert_eq!(paths, by_path.keys().collect::<Vec<_>>());
    for (path, functions) in by_path {
        let any = functions["ANY"];
        if functions.len() == 1 {
            assert_eq!(router[path], any, "{path}");
            continue;
        }
        let expected = METHODS.map(|method| {
            let function = functions.get(method).unwrap_or(&any);
            (method, *function)
        });
        let listed = router[path].as_array().unwrap().iter().map(|entry| {
            let word = |name| entry[name].as_str().unwrap();
            (word("method"), word("function"))
        });
        assert_eq!(
            listed.collect::<BTreeMap<_, _>>(),
            BTreeMap::from(expected),
            "{path}"
        );
    }
}
