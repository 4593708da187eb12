mod deep;
mod planted;
mod support;
mod traffic;
