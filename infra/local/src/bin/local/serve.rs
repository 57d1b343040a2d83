//! The bundle, served until it is told to stop.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use local::bundle::{Bundle, HTTP_INSTANCES_MAX, Settings};
use local::guard::Allowed;
use shared::clock::SystemClock;
use shared::config::Environment;
use shared::terminal::visible_lines;

use crate::{Binaries, Ended, interrupted, passed_on, private_file};

/// How often a function that somebody else runs is asked whether it answers yet.
const REMOTE_PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// What to start, and what to use of others'.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// The port that the API is served on; 0 takes a free one.
    #[arg(long, default_value_t = 3000)]
    port: u16,

    /// The most processes of worker and callback, so the most operations that run at once. Submit and status have one more
    /// for each caller who waits, up to 100.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=100))]
    instances: u16,

    /// Refuse requests without `Authorization: Bearer NAME` with 401, as AWS does; `/health` stays public.
    #[arg(long)]
    require_token: bool,

    /// Also accept this name in `Host`, at any port. By default only localhost, 127.0.0.1 and
    /// `[::1]` with the listener's own port are accepted. Whatever reaches this machine by the name,
    /// such as a container by host.docker.internal, can then use API, table and queues. May be
    /// repeated.
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    allowed_host: Vec<String>,

    /// Let pages of this origin, such as `https://app.example.com`, call the API, with the CORS
    /// headers that the template has. Pages of other sites are refused. May be repeated.
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    cors_origin: Vec<String>,

    /// Use the DynamoDB-compatible store at this endpoint.
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    dynamodb: Option<String>,

    /// Use the SQS-compatible queues at this endpoint.
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    sqs: Option<String>,

    /// Invoke the functions at this endpoint, as `cargo lambda watch` serves them.
    #[arg(long, value_name = "URL", value_parser = plain_endpoint, conflicts_with = "functions")]
    lambda: Option<String>,

    /// Write the variables that the functions get to this file, for a shell or a program that reaches
    /// the same store and queues. A file or link that is there is replaced; only its user can read it.
    #[arg(long, value_name = "FILE")]
    environment: Option<PathBuf>,

    #[command(flatten)]
    binaries: Binaries,
}

/// Starts the bundle, says where it is, and stops it when told to.
pub(crate) async fn serve(arguments: ServeArguments, environment: &Environment) -> Ended {
    let mut interrupted = std::pin::pin!(interrupted()?);
    let remote = arguments.lambda.is_some();
    let file = arguments.environment.clone();
    let bundle = tokio::select! {
        () = &mut interrupted => return Ok(()),
        bundle = start(arguments, environment) => bundle?,
    };
    let ready = tokio::select! {
        () = &mut interrupted => None,
        ready = ready(&bundle, remote, file) => Some(ready),
    };
    if let Some(Ok(())) = ready {
        println!("ready {}", bundle.url());
        interrupted.await;
    }
    bundle.stop().await;
    ready.unwrap_or(Ok(()))
}

async fn start(
    arguments: ServeArguments,
    environment: &Environment,
) -> Result<Bundle, Box<dyn Error>> {
    let functions_directory = if arguments.lambda.is_some() {
        // There is nothing to build, and no directory to look into.
        PathBuf::new()
    } else {
        arguments.binaries.directory(environment).await?
    };
    let settings = Settings {
        port: arguments.port,
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
        environment: passed_on(environment),
        clock: Arc::new(SystemClock),
    };
    Ok(Bundle::start(settings).await?)
}

/// Waits until the first request can be answered. A function that somebody else runs may be started after the bundle,
/// which alone knows what to give it.
async fn ready(bundle: &Bundle, remote: bool, file: Option<PathBuf>) -> Ended {
    let variables = bundle.function_environment();
    let lines: Vec<_> = variables
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\"\n"))
        .collect();
    let lines = lines.concat();
    if let Some(file) = file {
        if let Some((name, _)) = variables.iter().find(|(_, value)| is_special(value)) {
            return Err(
                format!("{name} has a character that a shell would not take as it is").into(),
            );
        }
        // Secrets may be among the lines.
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

/// Whether a shell makes something else of a value between double quotes.
fn is_special(value: &str) -> bool {
    value.contains(['"', '$', '`', '\\'])
}

fn host_name(text: &str) -> Result<String, String> {
    match url::Host::parse(text) {
        Ok(host) if !text.ends_with('.') => Ok(host.to_string()),
        _ => Err("must be a host name or address, without a port".to_owned()),
    }
}

/// As browsers send it, so that it can be compared.
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
        Ok(_) => Err("it is neither http nor https".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn plain_endpoint(text: &str) -> Result<String, String> {
    let text = endpoint(text)?;
    if text.starts_with("http:") {
        Ok(text)
    } else {
        Err("functions are invoked over plain http".to_owned())
    }
}
