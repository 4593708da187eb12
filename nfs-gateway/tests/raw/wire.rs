//! XDR for tests, written independently of the server's own.

/// Grows a message.
#[derive(Default, Clone)]
pub struct Out(pub Vec<u8>);

impl Out {
    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }
    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
    pub fn opaque(self, bytes: &[u8]) -> Self {
        let mut out = self.u32(bytes.len() as u32).raw(bytes);
        out.0.resize(out.0.len().next_multiple_of(4), 0);
        out
    }
}

/// Reads a message.
#[derive(Debug, Clone)]
pub struct In(pub Vec<u8>, pub usize);

impl In {
    pub fn raw(&mut self, count: usize) -> Vec<u8> {
        let bytes = self.0[self.1..self.1 + count].to_vec();
        self.1 += count;
        bytes
    }
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.raw(4).try_into().unwrap())
    }
    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.raw(8).try_into().unwrap())
    }
    pub fn opaque(&mut self) -> Vec<u8> {
        let length = self.u32() as usize;
        let bytes = self.raw(length);
        self.raw(length.next_multiple_of(4) - length);
        bytes
    }
}
