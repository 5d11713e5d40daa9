//! Which parts are wanted: all, or those whose titles hold one of some words.

#[derive(Default)]
pub struct Only(Vec<String>);

impl Only {
    pub fn add(&mut self, word: String) {
        self.0.push(word);
    }

    pub fn wants(&self, title: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|word| title.contains(word))
    }

    /// Whether nothing else is wanted.
    pub fn is(&self, title: &str) -> bool {
        self.0 == [title]
    }
}
