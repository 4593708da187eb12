//! Call and reply headers.

use bytes::Bytes;

use super::auth::{AUTH_NONE, Credentials};
use crate::xdr::{Reader, Writer, XdrError};

/// A call whose header is in order. The reader stands at the arguments.
#[derive(Debug)]
pub(crate) struct Call {
    /// Transaction id.
    pub(crate) xid: u32,
    /// Program number.
    pub(crate) program: u32,
    /// Its version.
    pub(crate) version: u32,
    /// Procedure.
    pub(crate) procedure: u32,
    /// Who calls.
    pub(crate) credentials: Credentials,
    /// The arguments.
    pub(crate) arguments: Reader,
    /// Bytes of the whole record.
    pub(crate) length: usize,
}

/// Why a record is not a call that can be executed.
#[derive(Debug)]
pub(crate) enum CallError {
    /// Not a call; there is nothing to answer.
    NotACall,
    /// No header can be found: the stream is out of step.
    Malformed(XdrError),
    /// Answer with a rejection.
    Rejected {
        /// Transaction id.
        xid: u32,
        /// The reason.
        why: Rejection,
    },
}

/// `rejected_reply`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// Another version of RPC.
    RpcMismatch,
    /// The credential cannot be used.
    Auth(AuthStatus),
}

/// `auth_stat`, as far as it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthStatus {
    /// AUTH_BADCRED.
    BadCredential = 1,
    /// AUTH_BADVERF.
    BadVerifier = 3,
}

/// `accept_stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AcceptStatus {
    /// The results follow.
    Success,
    /// No such program.
    ProgramUnavailable,
    /// Only this version of it.
    ProgramMismatch {
        /// The version.
        only: u32,
    },
    /// No such procedure.
    ProcedureUnavailable,
    /// The arguments cannot be decoded.
    GarbageArguments,
}

impl Call {
    /// Reads a record.
    pub(crate) fn decode(record: Bytes) -> Result<Call, CallError> {
        let length = record.len();
        let mut reader = Reader::new(record);
        let malformed = CallError::Malformed;
        let xid = reader.u32().map_err(malformed)?;
        if reader.u32().map_err(malformed)? != CALL {
            return Err(CallError::NotACall);
        }
        if reader.u32().map_err(malformed)? != RPC_VERSION {
            return Err(CallError::Rejected { xid, why: Rejection::RpcMismatch });
        }
        let program = reader.u32().map_err(malformed)?;
        let version = reader.u32().map_err(malformed)?;
        let procedure = reader.u32().map_err(malformed)?;
        let credentials = Credentials::decode(&mut reader)
            .map_err(malformed)?
            .map_err(|status| CallError::Rejected { xid, why: Rejection::Auth(status) })?;
        Ok(Call { xid, program, version, procedure, credentials, arguments: reader, length })
    }
}

/// A reply with its record mark: the header, then the encoded results.
pub(crate) fn accepted(xid: u32, status: AcceptStatus, results: Vec<Bytes>) -> Vec<Bytes> {
    let mut head = Writer::with_capacity(40);
    head.u32(xid);
    head.u32(REPLY);
    head.u32(MSG_ACCEPTED);
    head.u32(AUTH_NONE);
    head.u32(0);
    match status {
        AcceptStatus::Success => head.u32(0),
        AcceptStatus::ProgramUnavailable => head.u32(1),
        AcceptStatus::ProgramMismatch { only } => {
            head.u32(2);
            head.u32(only);
            head.u32(only);
        }
        AcceptStatus::ProcedureUnavailable => head.u32(3),
        AcceptStatus::GarbageArguments => head.u32(4),
    }
    framed(head, results)
}

/// A rejection with its record mark.
pub(crate) fn rejected(xid: u32, why: Rejection) -> Vec<Bytes> {
    let mut head = Writer::new();
    head.u32(xid);
    head.u32(REPLY);
    head.u32(MSG_DENIED);
    match why {
        Rejection::RpcMismatch => {
            head.u32(0);
            head.u32(RPC_VERSION);
            head.u32(RPC_VERSION);
        }
        Rejection::Auth(status) => {
            head.u32(1);
            head.u32(status as u32);
        }
    }
    framed(head, Vec::new())
}

fn framed(head: Writer, results: Vec<Bytes>) -> Vec<Bytes> {
    let length = head.len() + results.iter().map(Bytes::len).sum::<usize>();
    let mut all = Writer::with_capacity(4 + head.len());
    all.u32(LAST_FRAGMENT | u32::try_from(length).unwrap_or(0));
    for segment in head.finish() {
        all.fixed(&segment);
    }
    all.segments(&results);
    all.finish()
}

const LAST_FRAGMENT: u32 = 1 << 31;
const CALL: u32 = 0;
const REPLY: u32 = 1;
const MSG_ACCEPTED: u32 = 0;
const MSG_DENIED: u32 = 1;
const RPC_VERSION: u32 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rpc::Principal;

    fn call(version: u32, flavor: u32, credential: &[u8]) -> Bytes {
        let mut writer = Writer::new();
        for value in [7, CALL, version, 100_003, 4, 1, flavor] {
            writer.u32(value);
        }
        writer.opaque(credential);
        writer.u32(AUTH_NONE);
        writer.opaque(b"");
        writer.u32(42);
        Bytes::from(writer.finish().concat())
    }

    fn system() -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u32(1);
        writer.opaque(b"host");
        for value in [1000, 100, 2, 4, 27] {
            writer.u32(value);
        }
        writer.finish().concat()
    }

    #[test]
    fn a_call_with_system_credentials_is_read() {
        let mut call = Call::decode(call(2, 1, &system())).unwrap();
        assert_eq!((call.xid, call.program, call.version, call.procedure), (7, 100_003, 4, 1));
        assert_eq!(call.credentials, Credentials::System { uid: 1000, gid: 100, groups: vec![4, 27] });
        assert_eq!(call.credentials.principal(), Principal::User { uid: 1000, gid: 100 });
        assert_eq!(call.arguments.u32(), Ok(42));
    }

    #[test]
    fn what_cannot_be_served_is_rejected_by_its_reason() {
        let why = |record| match Call::decode(record) {
            Err(CallError::Rejected { xid: 7, why }) => Some(why),
            _ => None,
        };
        assert_eq!(why(call(3, 0, b"")), Some(Rejection::RpcMismatch));
        assert_eq!(why(call(2, 6, b"gss!")), Some(Rejection::Auth(AuthStatus::BadCredential)));
        assert_eq!(why(call(2, 1, b"shrt")), Some(Rejection::Auth(AuthStatus::BadCredential)));
        assert_eq!(why(call(2, 7, b"body")), Some(Rejection::Auth(AuthStatus::BadCredential)));
    }

    proptest! {
        #[test]
        fn mutated_calls_never_panic(at in 0usize..100, value: u8, cut in 0usize..120) {
            let mut bytes = call(2, 1, &system()).to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bytes.truncate(cut);
            let _ = Call::decode(Bytes::from(bytes));
        }
    }
}
