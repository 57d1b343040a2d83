use std::io::{Write as _, stdout};

use clap::Args;
use operator::show::View;
use shared::clock::{Clock as _, SystemClock};
use shared::domain::id::OperationId;
use shared::terminal::visible_lines;

use crate::{CommandResult, Services};

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// The operation's id.
    #[arg(value_parser = operation_id)]
    operation: OperationId,

    /// Show arguments, metadata, saved state and result as well. They are the owner's data.
    #[arg(long)]
    payloads: bool,
}

pub(crate) async fn show(arguments: &ShowArguments, services: &Services) -> CommandResult {
    let id = &arguments.operation;
    let inspected = services.store().inspect(id).await?;
    let view = View::new(id, &inspected, arguments.payloads, SystemClock.now());
    let Some(view) = view else {
        return Err(format!("nothing is stored under {id} in {}", services.table).into());
    };
    let text = serde_json::to_string_pretty(&view)?;
    writeln!(stdout(), "{}", visible_lines(&text))?;
    Ok(true)
}

fn operation_id(text: &str) -> Result<OperationId, &'static str> {
    text.parse()
        .map_err(|_| "an operation's id is op_ and 24 digits of 0-9 and a-f")
}
