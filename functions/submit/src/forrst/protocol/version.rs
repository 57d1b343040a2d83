/// The protocol's name in the envelope.
pub(super) const PROTOCOL_NAME: &str = "forrst";
/// The version that responses are written in. Requests may have any version of [`PROTOCOL_MAJOR`].
pub(super) const PROTOCOL_VERSION: &str = "0.1.0";
pub(super) const PROTOCOL_MAJOR: u64 = 0;
