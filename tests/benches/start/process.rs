//! One process of a function, and the time and memory that it uses.

use std::time::Duration;

use axum::body::Bytes;
use local::function::{FunctionSettings, Instance, Invocation};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use serde_json::Value;
use shared::clock::{Clock as _, SystemClock};
use tests::benchmark::Watch;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    /// Wall-clock time.
    pub(crate) wall: Duration,
    /// CPU time of all threads, including those that have ended.
    pub(crate) cpu: Duration,
}

pub(crate) struct Process {
    instance: Instance,
    clock: ClockId,
    id: Pid,
    /// The times of its start, or of its last invocation.
    pub(crate) times: Times,
    invocations: usize,
}

impl Process {
    /// Starts it and waits until it asks for its first invocation.
    pub(crate) async fn start(settings: FunctionSettings) -> Self {
        let watch = Watch::start();
        let mut instance = Instance::spawn(&settings, 0).await.unwrap();
        instance.ready().await.unwrap();
        let wall = watch.took();
        let id = i32::try_from(instance.process_id().unwrap()).unwrap();
        let id = Pid::from_raw(id);
        let clock = clock_getcpuclockid(id).unwrap();
        let cpu = cpu_time(clock);
        Self {
            instance,
            clock,
            id,
            times: Times { wall, cpu },
            invocations: 0,
        }
    }

    /// Invokes it. Wall-clock time ends with the response, CPU time when it asks for the next
    /// invocation.
    pub(crate) async fn invoke(&mut self, event: Value) -> Value {
        let event = Bytes::from(event.to_string());
        self.invocations += 1;
        let invocation = Invocation {
            request_id: format!("8476a536-e9f4-11e8-9739-{:012x}", self.invocations),
            function_arn: "arn:aws:lambda:us-east-1:000000000000:function:bench".to_owned(),
            trace_id: "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"
                .to_owned(),
            deadline: SystemClock.now() + Duration::from_secs(900),
            event,
        };
        let before = cpu_time(self.clock);
        let watch = Watch::start();
        let response = self.instance.invoke(invocation).await.unwrap();
        let wall = watch.took();
        self.instance.ready().await.unwrap();
        let cpu = cpu_time(self.clock).checked_sub(before).unwrap();
        self.times = Times { wall, cpu };
        serde_json::from_slice(&response).unwrap()
    }

    /// Its peak memory, in KB (`proc_pid_status(5)`).
    pub(crate) fn memory_peak_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id)).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) async fn stop(self) {
        self.instance.kill().await;
    }
}

/// The CPU time of all threads of a process.
fn cpu_time(clock: ClockId) -> Duration {
    clock.now().unwrap().into()
}
