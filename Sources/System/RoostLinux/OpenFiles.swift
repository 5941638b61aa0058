import Glibc

/// How many files and sockets this process may have open.
public enum OpenFiles {
    /// Raises the limit as far as it may go without asking anybody. A process whose limit is met can open no connection
    /// to the store, no log and no pipe.
    ///
    /// - Returns: the limit that holds now.
    @discardableResult
    public static func raiseLimit() -> Int {
        let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(kind, &limit) == 0 else { return 0 }
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            setrlimit(kind, &limit)
            getrlimit(kind, &limit)
        }
        return Int(clamping: limit.rlim_cur)
    }
}
