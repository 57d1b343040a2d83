//! The price list: a file of list prices with their sources.

use std::path::Path;

use serde_json::Value;

pub(crate) struct PriceList {
    /// The day of the prices.
    pub(crate) as_of: String,
    pub(crate) region: String,
    prices: Vec<Value>,
}

impl PriceList {
    pub(crate) fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/price/prices.json");
        let list: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(list["currency"], "USD");
        let text = |name: &str| list[name].as_str().unwrap().to_owned();
        Self {
            as_of: text("as_of"),
            region: text("region"),
            prices: list["prices"].as_array().unwrap().clone(),
        }
    }

    /// The price of one unit, in dollars.
    pub(crate) fn of(&self, key: &str) -> f64 {
        let price = self.prices.iter().find(|price| price["key"] == key);
        let price = price.unwrap_or_else(|| panic!("the price list has no {key}"));
        let number = |name: &str| price[name].as_f64().unwrap();
        number("usd") / number("per")
    }
}
