//! `cargo lambda watch`, and `cargo lambda invoke`.

use std::path::Path;
use std::process::Stdio;

use local::build::remove_package_variables;
use serde_json::Value;
use tests::wait::{soon, until};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::variable;

/// The emulator. It builds and starts a function at the first invocation.
pub(crate) struct Watch {
    port: u16,
    process: Child,
}

impl Watch {
    /// A port on which nothing listens: the emulator cannot pick one.
    pub(crate) fn free_port() -> u16 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    }

    /// Waits until the emulator listens. The functions get these variables.
    pub(crate) async fn start(port: u16, environment: &[(String, String)]) -> Self {
        let lines: Vec<_> = environment
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\"\n"))
            .collect();
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{port}.env"));
        std::fs::write(&file, lines.concat()).unwrap();
        let process = command("watch", port)
            .arg("--ignore-changes")
            .arg("--env-file")
            .arg(&file)
            .spawn()
            .unwrap();
        until("the emulator", async || {
            TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        Self { port, process }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The function's response to the event in a file.
    pub(crate) async fn invoke(&self, function: &str, file: &Path) -> Value {
        let invoked = command("invoke", self.port)
            .arg("--data-file")
            .arg(file)
            .arg(function)
            .stdout(Stdio::piped())
            .output();
        let invoked = soon("the response", invoked).await.unwrap();
        assert!(
            invoked.status.success(),
            "{function} with {}: {}",
            file.display(),
            invoked.status
        );
        serde_json::from_slice(&invoked.stdout).unwrap()
    }

    /// Ends the emulator with SIGINT, so that it ends the functions.
    pub(crate) async fn stop(mut self) {
        let id = self.process.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-s", "INT", &id]).status();
        assert!(sent.await.unwrap().success());
        soon("the emulator's end", self.process.wait())
            .await
            .unwrap();
    }
}

/// A command of cargo-lambda, in the workspace's root.
fn command(subcommand: &str, port: u16) -> Command {
    let mut command = Command::new(variable("CARGO_LAMBDA"));
    command
        .args(["lambda", subcommand, "--invoke-address", "127.0.0.1"])
        .args(["--invoke-port", &port.to_string()])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .kill_on_drop(true);
    remove_package_variables(&mut command);
    command
}
