mod planted;
mod support;
mod traffic;
