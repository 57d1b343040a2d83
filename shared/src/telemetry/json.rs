//! Log records in Lambda's JSON format: one flat object a line, with `timestamp`, `level` and
//! `message`.
//!
//! Flat, so that one query finds a field whether the record itself or one of its spans has it.

use std::fmt;

use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields as _, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

pub(super) struct FlatJson;

impl<S> FormatEvent<S, JsonFields> for FlatJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    /// A field of an inner span replaces an outer span's, and the record's own replace both.
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        let spans = context.event_scope().into_iter().flat_map(Scope::from_root);
        for span in spans {
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
                line.extend(object(fields));
            }
        }
        let mut fields = String::new();
        context.format_fields(Writer::new(&mut fields), event)?;
        line.extend(object(&fields));
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        line.insert("timestamp".to_owned(), timestamp.into());
        let level = event.metadata().level().as_str();
        line.insert("level".to_owned(), level.into());
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// The fields that [`JsonFields`] wrote; empty for a span without fields.
fn object(fields: &str) -> Map<String, Value> {
    serde_json::from_str(fields).unwrap_or_default()
}
