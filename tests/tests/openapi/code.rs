//! Routes and codes, which both the document and the code list. Bounds are in `limits`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::domain::callback::{CallbackEvent, CallbackStatus};
use shared::domain::history::AttemptEnd;
use shared::domain::operation::FailureCode;
use shared::domain::transition::Status;
use shared::http::ROUTES;
use shared::request::ErrorCode;
use submit::forrst::protocol::{ExtensionName, Spelling};
use tests::openapi::{Document, EXTENSIBLE, Route};

/// The document's routes and the code's, both ways, with whether each needs an authorizer.
pub(crate) fn route_faults(document: &Document) -> Vec<String> {
    let documented: BTreeSet<_> = document
        .routes()
        .into_iter()
        .map(|route| {
            let operation = document.operation(&route).unwrap_or_default();
            let is_public = document.at(&operation)["security"] == json!([]);
            let Route { method, path } = route;
            (format!("{method} {path}"), is_public)
        })
        .collect();
    let served = ROUTES.map(|route| {
        let name = format!("{} {}", route.method(), route.path());
        (name, route.is_public())
    });
    differences("the code's routes", &documented, &BTreeSet::from(served))
}

/// The version, and every list of codes, both ways.
pub(crate) fn code_faults(document: &Document) -> Vec<String> {
    let version = BTreeSet::from([document.at("/info/version").to_string()]);
    let own = BTreeSet::from([json!(env!("CARGO_PKG_VERSION")).to_string()]);
    let extensions: Vec<_> = [Spelling::Canonical, Spelling::Short]
        .into_iter()
        .flat_map(|spelling| ExtensionName::ALL.map(|name| name.urn(spelling)))
        .collect();
    let served = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let extensions: Vec<_> = extensions.iter().map(String::as_str).collect();
    let requested = urns(document, "/components/schemas/ForrstRequest/properties");
    let returned = urns(document, "/components/schemas/ForrstEnvelope/properties");
    let schemas = "/components/schemas";
    let words = |pointer: &str| words(document.at(&format!("{schemas}{pointer}")));
    [
        (
            words(&format!("/ErrorCode/{EXTENSIBLE}")),
            served(&ErrorCode::ALL.map(ErrorCode::as_str)),
        ),
        (
            words(&format!("/FailureCode/{EXTENSIBLE}")),
            served(&FailureCode::ALL.map(FailureCode::as_str)),
        ),
        (
            words(&format!("/Callback/properties/status/{EXTENSIBLE}")),
            served(&CallbackStatus::ALL.map(CallbackStatus::as_str)),
        ),
        (
            words(&format!("/AttemptEntry/properties/outcome/{EXTENSIBLE}")),
            served(&AttemptEnd::ALL.map(AttemptEnd::as_str)),
        ),
        (
            words("/Status/enum"),
            served(&Status::ALL.map(Status::as_str)),
        ),
        (
            words("/CallbackEvent/enum"),
            served(&CallbackEvent::ALL.map(CallbackEvent::as_str)),
        ),
        (requested, served(&extensions)),
        (returned, served(&extensions)),
    ]
    .into_iter()
    .flat_map(|(documented, served)| differences("the code's values", &documented, &served))
    .chain(differences("the versions", &version, &own))
    .collect()
}

/// The names of the extensions that an envelope's schema lists.
fn urns(document: &Document, properties: &str) -> BTreeSet<String> {
    let listed = format!("{properties}/extensions/items/oneOf");
    let count = document.at(&listed).as_array().map_or(0, Vec::len);
    (0..count)
        .filter_map(|index| document.member(&listed, &index.to_string()))
        .flat_map(|schema| words(document.at(&format!("{schema}/properties/urn/enum"))))
        .collect()
}

fn words(list: &Value) -> BTreeSet<String> {
    let words = list.as_array().into_iter().flatten();
    words.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn differences<T: Ord + std::fmt::Debug>(
    what: &str,
    documented: &BTreeSet<T>,
    served: &BTreeSet<T>,
) -> Vec<String> {
    let too_many = documented
        .difference(served)
        .map(|one| format!("{one:?} is not among {what}"));
    let missing = served
        .difference(documented)
        .map(|one| format!("{one:?} of {what} is not documented"));
    too_many.chain(missing).collect()
}
