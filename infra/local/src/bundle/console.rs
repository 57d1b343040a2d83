//! The console of the bundle, on its own listener: the gateway serves nothing that API Gateway
//! does not serve.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata as _;
use aws_sdk_sqs::types::QueueAttributeName;
use ferry_console::{Api, Console, Place, ProcessesView, QueueView};
use futures_util::future::{BoxFuture, join_all};
use shared::aws::{self, Aws};
use shared::config::{Environment, SettingError};
use shared::domain::operation::Owner;
use shared::random::SystemRandom;
use shared::telemetry::chain;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::bundle::functions::Functions;
use crate::bundle::queues::{Queue, Queues};
use crate::bundle::{FUNCTIONS, Settings, StartError, address};
use crate::client::http_client;
use crate::function::Function;
use crate::gateway::Owners;
use crate::sqs::Sqs;

/// The kind of the owners that the local gateway names.
const OWNER_KIND: &str = "local";

/// The ages at which the alarms of the template are raised, in seconds.
pub const DISPATCH_AGE_ALARM_SECS: u64 = 3600;
pub const CALLBACK_AGE_ALARM_SECS: u64 = 1800;

/// A console that is served until this is dropped.
pub(super) struct Running {
    url: String,
    console: Console,
    _serving: JoinSet<()>,
}

impl Running {
    pub(super) fn start(
        listener: TcpListener,
        variables: &[(String, String)],
        place: LocalPlace,
        settings: &Settings,
    ) -> Result<Self, StartError> {
        let url = format!("http://{}", address(&listener)?);
        let environment: Environment = variables.iter().cloned().collect();
        let console = console(&environment, place, settings).map_err(StartError::Console)?;
        let served = console.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            if let Err(error) = served.serve(listener).await {
                tracing::error!(%error, "the console ended; the bundle goes on");
            }
        });
        Ok(Self {
            url,
            console,
            _serving: serving,
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn reload(&self) -> Result<(), SettingError> {
        self.console.reload()
    }
}

fn console(
    environment: &Environment,
    place: LocalPlace,
    settings: &Settings,
) -> Result<Console, SettingError> {
    let aws = Aws::new(environment, aws::http_connector(environment)?)?;
    let (clock, random) = (Arc::clone(&settings.clock), Arc::new(SystemRandom));
    Console::new(environment, &aws, Arc::new(place), clock, random)
}

/// This machine, for its console.
pub(super) struct LocalPlace {
    api_url: String,
    api_client: reqwest::Client,
    sqs: Client,
    /// `None` for queues behind another endpoint.
    embedded: Option<Sqs>,
    queues: [Shown; 4],
    functions: [(&'static str, Arc<Function>); 4],
    owners: Arc<Owners>,
}

/// A queue that the console shows.
struct Shown {
    url: String,
    purpose: &'static str,
    alarm_secs: Option<u64>,
    last_failure: LastFailure,
}

/// Why the counts of a queue could not be read when they were last polled.
#[derive(Default)]
struct LastFailure(Mutex<Option<String>>);

impl LastFailure {
    /// Records a poll. Whether it failed in another way than the one before: the page polls each
    /// second, and one log line says what all of these polls would.
    fn is_changed_by(&self, failure: Option<&str>) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_changed = failure.is_some() && last.as_deref() != failure;
        *last = failure.map(str::to_owned);
        is_changed
    }
}

impl LocalPlace {
    pub(super) fn new(
        api_url: &str,
        queues: &Queues,
        functions: &Functions,
        owners: Arc<Owners>,
    ) -> Self {
        let shown = |queue: &Queue, purpose, alarm_secs| Shown {
            url: queue.url.clone(),
            purpose,
            alarm_secs,
            last_failure: LastFailure::default(),
        };
        let (dispatch, callback) = (&queues.dispatch, &queues.callback);
        let [submit, status, worker, sender] = FUNCTIONS.map(|function| function.name);
        Self {
            api_url: api_url.to_owned(),
            api_client: http_client(),
            sqs: queues.client.clone(),
            embedded: queues.embedded.clone(),
            queues: [
                shown(&dispatch.queue, "work to do", Some(DISPATCH_AGE_ALARM_SECS)),
                shown(
                    &callback.queue,
                    "callbacks to send",
                    Some(CALLBACK_AGE_ALARM_SECS),
                ),
                shown(
                    &dispatch.dead_letters,
                    "work that was received too often",
                    None,
                ),
                shown(
                    &callback.dead_letters,
                    "callbacks that were received too often",
                    None,
                ),
            ],
            functions: [
                (submit, Arc::clone(&functions.submit)),
                (status, Arc::clone(&functions.status)),
                (worker, Arc::clone(&functions.worker)),
                (sender, Arc::clone(&functions.callback)),
            ],
            owners,
        }
    }

    async fn view(&self, queue: &Shown) -> QueueView {
        let name = queue.url.rsplit('/').next().unwrap_or_default();
        let attributes = self
            .sqs
            .get_queue_attributes()
            .queue_url(&queue.url)
            .attribute_names(QueueAttributeName::All)
            .send()
            .await;
        let (attributes, error) = match attributes {
            Ok(read) => {
                queue.last_failure.is_changed_by(None);
                (read.attributes, None)
            }
            Err(error) => {
                let text = chain(&error);
                // The text of an error with a code may contain the id of the request.
                if queue
                    .last_failure
                    .is_changed_by(Some(error.code().unwrap_or(&text)))
                {
                    tracing::error!(
                        queue = name,
                        "console: the queue's counts cannot be read: {text}; logged again only \
                         when the error changes"
                    );
                }
                (None, Some(text))
            }
        };
        let count = |name: QueueAttributeName| {
            let attributes = attributes.as_ref()?;
            attributes.get(&name)?.parse().ok()
        };
        let embedded = self.embedded.as_ref();
        let oldest = embedded.and_then(|sqs| sqs.oldest_age(name));
        QueueView {
            name: name.to_owned(),
            purpose: queue.purpose,
            waiting: count(QueueAttributeName::ApproximateNumberOfMessages),
            in_flight: count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
            delayed: count(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
            oldest_secs: oldest.map(|age| age.as_secs()),
            alarm_secs: queue.alarm_secs,
            error,
        }
    }
}

impl Place for LocalPlace {
    fn name(&self) -> String {
        "this machine".to_owned()
    }

    fn owners(&self) -> Vec<Owner> {
        let names = self.owners.names();
        names
            .iter()
            .filter(|name| *name != ferry_console::OWN_NAME)
            .filter_map(|name| Owner::new(OWNER_KIND, name))
            .collect()
    }

    fn queues(&self) -> BoxFuture<'_, Vec<QueueView>> {
        Box::pin(join_all(self.queues.iter().map(|queue| self.view(queue))))
    }

    fn processes(&self) -> Vec<ProcessesView> {
        let functions = self.functions.iter();
        functions
            .map(|(name, function)| {
                let (processes, usage) = (function.process_counts(), function.usage());
                ProcessesView {
                    function: name,
                    busy: processes.busy,
                    idle: processes.idle,
                    started: processes.started,
                    invocations: usage.invocations,
                    billed_ms: u64::try_from(usage.billed.as_millis()).unwrap_or(u64::MAX),
                }
            })
            .collect()
    }

    fn api(&self) -> Option<Api> {
        Some(Api {
            url: self.api_url.clone(),
            client: self.api_client.clone(),
            authorization: |owner| {
                let name = owner.as_str().strip_prefix("local:")?;
                Some(format!("Bearer {name}"))
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_logged_when_it_begins_or_differs() {
        let last = LastFailure::default();
        for (failure, is_logged) in [
            (None, false),
            (Some("AccessDenied"), true),
            (Some("AccessDenied"), false),
            (Some("no response"), true),
            (Some("no response"), false),
            (None, false),
            (Some("no response"), true),
        ] {
            assert_eq!(last.is_changed_by(failure), is_logged, "{failure:?}");
        }
    }
}
