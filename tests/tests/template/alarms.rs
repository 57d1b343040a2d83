//! The alarms: what the local console says of them is what the template has.

use local::bundle::{CALLBACK_AGE_ALARM_SECS, DISPATCH_AGE_ALARM_SECS};
use tests::template::Template;

#[test]
fn the_local_console_has_the_ages_at_which_the_alarms_are_raised() {
    let template = Template::read();
    for (alarm, secs) in [
        ("DispatchAgeAlarm", DISPATCH_AGE_ALARM_SECS),
        ("CallbackAgeAlarm", CALLBACK_AGE_ALARM_SECS),
    ] {
        let threshold = template.number(&template.resource(alarm)["Threshold"]);
        assert_eq!(u64::from(threshold), secs, "{alarm}");
    }
}
