//! The protocol as it is.

use model::check::{assert_holds, every_course_ends};
use model::config::*;
use model::state::Budget;

const fn budget(faults: u8, heartbeats: u8, dead_letters: u8, hops: u8) -> Budget { Budget { faults, heartbeats, dead_letters, hops } }

#[test]
fn core() {
    assert_holds(Config {
        attempts_max: 2,
        cancel: true,
        deadline: true,
        budget: budget(2,1,0,0),
        receives_max: 3,
        seen: &["completed", "failed", "cancelled", "given up", "claimed after a lost lease", "message received twice at once", "create meets itself"],
        ..Config::new("core")
    });
}
#[test]
fn reuse_expiry() {
    assert_holds(Config { submits: 2, expiry: true, 
        budget: budget(1,0,0,0),
       attempts_max: 2,..Config::new("reuse expiry")
     });
}
#[test]
fn reuse_erase() {
    assert_holds(Config { submits: 2, erase: true, 
        budget: budget(1,0,0,0),
       attempts_max: 1,..Config::new("reuse erase as coded")
     });
}
#[test]
fn reuse_erase_mark() {
    assert_holds(Config { submits: 2, erase: true, expiry: true, cancel:true, erasing: Erasing::LeavesMark,
        budget: budget(1,0,0,0),
       attempts_max: 1,..Config::new("reuse erase mark")
     });
}
#[test]
fn dead_letters() {
    assert_holds(Config { submits: 1, cancel: true, deadline: true,
        budget: budget(1,1,1,0),
       attempts_max: 2,..Config::new("dead letters")
     });
}
#[test]
fn whole() {
    assert_holds(Config { submits: 1, cancel: true, tries_max: 1, refused_sender: RefusedSender::Returns, receives_max: 1,
        budget: budget(1,0,0,0),
       attempts_max: 1,..Config::new("whole")
     });
}
#[test]
fn redeliver() {
    assert_holds(Config { start: Start::Delivered, redeliveries: 1, tries_max: 2, refused_sender: RefusedSender::Returns,
        budget: budget(1,0,0,1),
       ..Config::new("redeliver")
     });
}
#[test]
fn redeliver_goes_on() {
    assert_holds(Config { start: Start::Delivered, redeliveries: 1, tries_max: 2, refused_sender: RefusedSender::GoesOnForItsMessage,
        budget: budget(1,0,0,1),
       ..Config::new("redeliver goes on")
     });
}
#[test]
fn redeliver_dead() {
    assert_holds(Config { start: Start::Delivered, redeliveries: 1, tries_max: 1, refused_sender: RefusedSender::Returns,
        budget: budget(1,0,1,0),
       ..Config::new("redeliver dead")
     });
}
#[test]
fn callbacks() {
    assert_holds(Config { start: Start::Ended, tries_max: 2, refused_sender: RefusedSender::Returns, workers: 1, cancel: false,
        budget: budget(1,0,0,1),
       ..Config::new("callbacks")
     });
}
