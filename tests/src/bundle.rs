//! The whole bundle with the functions' processes, shared by the tests of one binary.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::thread::JoinHandle;

use local::bundle::{Bundle, FUNCTIONS, HTTP_INSTANCES_MAX, Settings};
use local::guard::Allowed;
use shared::clock::SystemClock;
use tokio::sync::oneshot;

use crate::api::Api;
use crate::dynamodb::{OtherStore, other_store};
use crate::logs::log_warnings;

/// A bundle that runs while a test uses it. A bundle in a static is never dropped, so its processes
/// would outlive the tests.
pub struct SharedBundle {
    environment: fn() -> Vec<(&'static str, String)>,
    running: Mutex<Weak<RunningBundle>>,
}

impl SharedBundle {
    /// The functions get these variables in addition to the bundle's.
    #[must_use]
    pub const fn new(environment: fn() -> Vec<(&'static str, String)>) -> Self {
        Self {
            environment,
            running: Mutex::new(Weak::new()),
        }
    }

    /// A caller's API. Each test uses its own owner, so no test sees another's operations.
    #[must_use]
    pub fn caller(&self, owner: &str) -> Api {
        Api::new(self.running(), owner)
    }

    /// The bundle that other tests are using, or a new one.
    #[must_use]
    pub fn running(&self) -> Arc<RunningBundle> {
        let mut shared = self.running.lock().unwrap();
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let running = Arc::new(RunningBundle::start(settings((self.environment)())));
        *shared = Arc::downgrade(&running);
        running
    }
}

/// A bundle on its own thread, with the store that the environment names, else the embedded one.
pub struct RunningBundle {
    /// The API's URL.
    pub url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RunningBundle {
    /// Waits until the bundle is ready.
    #[must_use]
    pub fn start(mut settings: Settings) -> Self {
        log_warnings();
        let (ready, url) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                if let Some(OtherStore { endpoint, table }) = other_store().await {
                    settings.dynamodb = Some(endpoint);
                    settings.environment.push(("TABLE_NAME".to_owned(), table));
                }
                let bundle = Bundle::start(settings).await.unwrap();
                bundle.ready().await.unwrap();
                ready.send(bundle.url().to_owned()).unwrap();
                // An error says that the sender was dropped, which stops the bundle too.
                let _ = stopped.await;
                bundle.stop().await;
            });
        });
        Self {
            url: url.recv().expect("the bundle started"),
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for RunningBundle {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed.
            let _ = thread.join();
        }
    }
}

/// With the workspace's functions, which get these variables in addition to the bundle's.
#[must_use]
pub fn settings(environment: Vec<(&'static str, String)>) -> Settings {
    let environment = environment.into_iter();
    Settings {
        port: 0,
        console_port: None,
        instances: 4,
        http_instances: HTTP_INSTANCES_MAX,
        require_token: false,
        allowed: Allowed::default(),
        worker_batch_size: 1,
        dynamodb: None,
        sqs: None,
        lambda: None,
        functions_directory: binaries(),
        functions_file: None,
        environment: environment
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        clock: Arc::new(SystemClock),
    }
}

/// Links to the functions' binaries in a directory of this name, so that a test finds the processes
/// of its own bundle by where they were started from.
#[cfg(unix)]
#[must_use]
pub fn linked_functions(name: &str) -> PathBuf {
    let directory = binaries().join("functions").join(name);
    std::fs::create_dir_all(&directory).unwrap();
    for function in FUNCTIONS {
        let (link, binary) = (
            directory.join(function.name),
            binaries().join(function.name),
        );
        // A target directory that was moved has links to where it was.
        match std::fs::read_link(&link) {
            Ok(linked) if linked == binary => continue,
            Ok(_) => std::fs::remove_file(&link).unwrap(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
        }
        std::os::unix::fs::symlink(binary, link).unwrap();
    }
    directory
}

/// The directory of the workspace's binaries.
#[must_use]
pub fn binaries() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let directory = test
        .ancestors()
        .nth(2)
        .expect("a test's binary is in target/PROFILE/deps");
    for name in FUNCTIONS.map(|function| function.name) {
        let binary = directory
            .join(name)
            .with_extension(std::env::consts::EXE_EXTENSION);
        assert!(
            binary.exists(),
            "{} is missing; `cargo build --workspace` builds it, as does `cargo test --workspace`",
            binary.display()
        );
    }
    directory.to_owned()
}
