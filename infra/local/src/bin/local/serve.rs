//! `local`: runs the bundle until a signal stops it.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use local::bundle::{Bundle, HTTP_INSTANCES_MAX, Reloaded, Settings};
use local::guard::Allowed;
use local::targets::TargetSettings;
use shared::clock::SystemClock;
use shared::config::Environment;
use shared::terminal::{visible, visible_lines};

use crate::{Binaries, CommandResult, interrupted, passed_on, private_file};

const CONSOLE_PORT: u16 = 7070;

/// How often to send `GET /health` until the functions behind `--lambda` answer.
const REMOTE_PROBE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// The API's port; 0 picks a free one.
    #[arg(long, default_value_t = 3000)]
    port: u16,

    /// The console's port, by default 7070; 0 picks a free one. Without it, an API's port of 0
    /// picks a free one for the console as well.
    #[arg(long, value_name = "PORT")]
    console_port: Option<u16>,

    /// Serve no console.
    #[arg(long, conflicts_with = "console_port")]
    no_console: bool,

    /// The most processes of worker and of callback, hence the most operations that run at once.
    /// Submit and status have one more process for each caller that waits, up to 100.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        value_parser = clap::value_parser!(u16).range(1..=100)
    )]
    instances: u16,

    /// Answer requests without `Authorization: Bearer NAME` with 401, as AWS does; `/health` stays
    /// public.
    #[arg(long)]
    require_token: bool,

    /// Also accept this name in `Host`, with any port. By default only localhost, 127.0.0.1 and
    /// `[::1]` with the listener's port are accepted. Any client that reaches this machine by that
    /// name, such as a container by host.docker.internal, can then use the API, the table and the
    /// queues. May be repeated.
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    allowed_host: Vec<String>,

    /// Let pages of this origin, such as `https://app.example.com`, call the API, with the
    /// template's CORS headers. Pages of other sites are refused. May be repeated.
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    cors_origin: Vec<String>,

    /// Use the DynamoDB-compatible store at this endpoint.
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    dynamodb: Option<String>,

    /// Use the SQS-compatible queues at this endpoint.
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    sqs: Option<String>,

    /// Invoke the functions at this endpoint, for example that of `cargo lambda watch`.
    #[arg(long, value_name = "URL", value_parser = plain_endpoint, conflicts_with = "binaries")]
    lambda: Option<String>,

    /// Register the functions of this file, and run their targets on this machine. A change takes
    /// effect at once; functions behind `--lambda` have to be started again for it.
    #[arg(long, value_name = "FILE")]
    functions_file: Option<PathBuf>,

    /// Write the functions' variables to this file, for a shell or a program that uses the same
    /// store and queues. Replaces an existing file or link; only the user can read the file.
    #[arg(long, value_name = "FILE")]
    environment: Option<PathBuf>,

    #[command(flatten)]
    binaries: Binaries,
}

/// Starts the bundle, prints its URL, and stops it at Ctrl-C or `SIGTERM`.
pub(crate) async fn serve(arguments: ServeArguments, environment: &Environment) -> CommandResult {
    let mut interrupted = std::pin::pin!(interrupted()?);
    let remote = arguments.lambda.is_some();
    let file = arguments.environment.clone();
    let functions_file = arguments.functions_file.clone();
    let mut bundle = tokio::select! {
        () = &mut interrupted => return Ok(()),
        bundle = start(arguments, environment) => bundle?,
    };
    let ready = tokio::select! {
        () = &mut interrupted => None,
        ready = ready(&bundle, remote, file) => Some(ready),
    };
    if let Some(Ok(())) = ready {
        println!("ready {}", bundle.url());
        if let Some(url) = bundle.console_url() {
            println!("console {url}");
        }
        print_targets(bundle.targets());
        loop {
            tokio::select! {
                () = &mut interrupted => break,
                reloaded = bundle.reload() => match reloaded {
                    Ok(Reloaded { file_changed, targets }) => {
                        if let Some(path) = functions_file.as_deref().filter(|_| file_changed) {
                            println!("reloaded {}", visible(&path.to_string_lossy()));
                        }
                        print_targets(&targets);
                    }
                    Err(error) => {
                        eprintln!("error: {}", visible_lines(&error.to_string()));
                    }
                }
            }
        }
    }
    bundle.stop().await;
    ready.unwrap_or(Ok(()))
}

fn print_targets(targets: &[TargetSettings]) {
    for target in targets {
        println!("target {}", visible(&target.to_string()));
    }
}

async fn start(
    arguments: ServeArguments,
    environment: &Environment,
) -> Result<Bundle, Box<dyn Error>> {
    let functions_directory = if arguments.lambda.is_some() {
        // Nothing has to be built, and the directory is not used.
        PathBuf::new()
    } else {
        arguments.binaries.directory(environment).await?
    };
    let settings = Settings {
        port: arguments.port,
        console_port: (!arguments.no_console).then(|| {
            let default = if arguments.port == 0 { 0 } else { CONSOLE_PORT };
            arguments.console_port.unwrap_or(default)
        }),
        instances: usize::from(arguments.instances),
        http_instances: HTTP_INSTANCES_MAX,
        require_token: arguments.require_token,
        allowed: Allowed {
            hosts: arguments.allowed_host,
            origins: arguments.cors_origin,
        },
        worker_batch_size: 1,
        dynamodb: arguments.dynamodb,
        sqs: arguments.sqs,
        lambda: arguments.lambda,
        functions_directory,
        functions_file: arguments.functions_file,
        environment: passed_on(environment),
        clock: Arc::new(SystemClock),
    };
    Ok(Bundle::start(settings).await?)
}

/// Waits until the bundle can answer requests. Remote functions may start after the bundle, with
/// the variables that it prints.
async fn ready(bundle: &Bundle, remote: bool, file: Option<PathBuf>) -> CommandResult {
    let variables = bundle.function_environment();
    let lines: Vec<_> = variables
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\"\n"))
        .collect();
    let lines = lines.concat();
    if let Some(file) = file {
        if let Some((name, _)) = variables.iter().find(|(_, value)| is_special(value)) {
            return Err(format!("{name} has a character that a shell would interpret").into());
        }
        // The values may be secrets.
        private_file::replace(&file, lines.as_bytes())
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    }
    if !remote {
        return Ok(bundle.ready().await?);
    }
    eprint!(
        "the functions need these variables:\n{}",
        visible_lines(&lines)
    );
    while bundle.ready().await.is_err() {
        tokio::time::sleep(REMOTE_PROBE_INTERVAL).await;
    }
    Ok(())
}

/// Whether a shell would interpret the value between double quotes.
fn is_special(value: &str) -> bool {
    value.contains(['"', '$', '`', '\\'])
}

fn host_name(text: &str) -> Result<String, String> {
    match url::Host::parse(text) {
        Ok(host) if !text.ends_with('.') => Ok(host.to_string()),
        _ => Err("must be a host name or address, without a port".to_owned()),
    }
}

/// In the form that browsers send, which the guard compares.
fn origin(text: &str) -> Result<String, String> {
    let origin = url::Url::parse(text).map(|url| url.origin());
    match origin {
        Ok(origin) if text.starts_with("http") && origin.ascii_serialization() == text => {
            Ok(text.to_owned())
        }
        _ => {
            Err("must be an origin as browsers send it, such as https://app.example.com".to_owned())
        }
    }
}

fn endpoint(text: &str) -> Result<String, String> {
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(text.to_owned()),
        Ok(_) => Err("must be http or https".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn plain_endpoint(text: &str) -> Result<String, String> {
    let text = endpoint(text)?;
    if text.starts_with("http:") {
        Ok(text)
    } else {
        Err("must be plain http".to_owned())
    }
}
