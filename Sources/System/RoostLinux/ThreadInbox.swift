import Glibc

/// What others put there for one thread, which sleeps while there is nothing. Putting never waits.
final class ThreadInbox<Item: Sendable>: @unchecked Sendable {
    // Guarded by `mutex`; a pthread condition, since the thread must sleep while there is nothing to do.
    private var items: [Item] = []
    private var isEnded = false
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func add(_ item: Item) {
        pthread_mutex_lock(mutex)
        items.append(item)
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    /// Nothing will come any more.
    func end() {
        pthread_mutex_lock(mutex)
        isEnded = true
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    /// Waits for something, in the order it came. Nil: it has ended and nothing is left.
    func take() -> [Item]? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while items.isEmpty {
            if isEnded { return nil }
            pthread_cond_wait(condition, mutex)
        }
        defer { items.removeAll(keepingCapacity: true) }
        return items
    }

    /// What is there now.
    func takeAtOnce() -> [Item] {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        defer { items.removeAll(keepingCapacity: true) }
        return items
    }
}
