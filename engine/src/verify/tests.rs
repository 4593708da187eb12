mod deep;
mod flips;
mod planted;
mod repaired;
mod scrubbed;
mod support;
mod traffic;
