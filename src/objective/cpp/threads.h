// Threads that help when they can: whoever calls takes tasks too, and never waits for a helper that has not begun.
//
// OpenMP waits for every thread at the end of a loop. Where another process holds a core, that is many times slower than
// one thread alone; here it costs nothing but the help.

#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

namespace {

class Threads {
  public:
    using Task = std::function<void(int64_t)>;

    // Call task(0) to task(count - 1), in any order, by at most `n_threads` threads; returns when all are done.
    void run(int64_t count, int64_t n_threads, const Task &task) {
        std::unique_lock<std::mutex> caller(busy, std::defer_lock);
        if (n_threads <= 1 || count <= 1 || !caller.try_lock()) {
            for (int64_t i = 0; i < count; i++) task(i);
            return;
        }
        {
            std::lock_guard<std::mutex> lock(mutex);
            for (; n_started < n_threads - 1; n_started++) std::thread(&Threads::help, this).detach();
            job = &task;
            end = count;
            next = 0;
            n_welcome = n_threads - 1;
        }
        wake.notify_all();
        for (int64_t i = next++; i < count; i = next++) task(i);
        std::unique_lock<std::mutex> lock(mutex);
        n_welcome = 0;  // who has not begun need not
        done.wait(lock, [this] { return n_helping == 0; });
    }

  private:
    void help() {
        std::unique_lock<std::mutex> lock(mutex);
        while (true) {
            wake.wait(lock, [this] { return n_welcome > 0; });
            n_welcome--;
            n_helping++;
            const Task &task = *job;
            const int64_t count = end;
            lock.unlock();
            for (int64_t i = next++; i < count; i = next++) task(i);
            lock.lock();
            if (--n_helping == 0) done.notify_one();
        }
    }

    std::mutex busy;   // held by the one caller that has help
    std::mutex mutex;  // guards all below but `next`
    std::condition_variable wake, done;
    const Task *job = nullptr;
    int64_t end = 0, n_welcome = 0, n_helping = 0, n_started = 0;
    std::atomic<int64_t> next{0};
};

// Never destroyed: its threads sleep until the process ends.
inline Threads &threads() {
    static Threads &all = *new Threads;
    return all;
}

}  // namespace
