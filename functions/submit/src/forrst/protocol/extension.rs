/// An extension that a caller asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Extension<T> {
    /// Its place in the request's list, from 0.
    pub index: usize,
    pub options: T,
}

impl<T> Extension<T> {
    /// RFC 6901 pointer to the extension.
    #[must_use]
    pub fn pointer(&self) -> String {
        format!("/extensions/{}", self.index)
    }

    /// RFC 6901 pointer to one of its options, whose name needs no escape.
    #[must_use]
    pub fn pointer_to(&self, option: &str) -> String {
        format!("/extensions/{}/options/{option}", self.index)
    }
}
