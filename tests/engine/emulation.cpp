// The emulated GPU finds what it is there to find: kernels with races, barriers that some threads miss, reads and writes outside their memory.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/core/cuda_reduce.cuh"

namespace alinea::cuda {

namespace {

constexpr int n = 96;

Tensor numbers() {
  std::vector<double> v(n);
  for (int i = 0; i < n; ++i) v[size_t(i)] = i * i % 17;
  return Context::cuda().from(v.data(), {n});
}

// What one block of n threads leaves in a tensor of n elements.
template <class... P, class... A>
std::vector<double> result(void (*kernel)(const double*, double*, P...), A... more) {
  const Tensor x = numbers(), y = Context::cuda().empty({n}, DType::f64);
  launch(x.context(), "test", 1, n, 0, kernel, x.data<double>(), y.data<double>(), more...);
  return y.values<double>();
}

template <class... P>
std::string problem(void (*kernel)(const double*, double*, P...)) {
  try {
    result(kernel);
  } catch (const Error& e) {
    CHECK(e.kind() == Exit::device);
    return e.what();
  }
  return "";
}

bool says(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

template <class T>
__global__ void reverse(const T* x, T* y, bool with_barrier) {
  __shared__ T all[n];
  all[threadIdx.x] = x[threadIdx.x];
  if (with_barrier) __syncthreads();
  y[threadIdx.x] = all[n - 1 - threadIdx.x];
}

__global__ void reductions(const double* x, double* y) {
  const double sum = over_block(x[threadIdx.x], Sum{}), largest = over_warp(x[threadIdx.x], Max{});
  const double below = __shfl_up_sync(all_lanes, x[threadIdx.x], 1, 8), odd = __ballot_sync(all_lanes, int(threadIdx.x) & 1);
  y[threadIdx.x] = sum + 1e4 * largest + 1e6 * below + (odd == 0xaaaaaaaau ? 0.5 : 0);
}

__global__ void dynamic_shared(const double* x, double* y) {
  double* all = shared_memory<double>();
  y[threadIdx.x] = all[threadIdx.x];
  all[threadIdx.x] = x[threadIdx.x];
}

__global__ void early_return(const double*, double*) {
  if (threadIdx.x == 40) return;
  __syncthreads();
}

__global__ void two_barriers(const double*, double*) {
  if (threadIdx.x < 32) __syncthreads();
  else
    __syncthreads();
}

__global__ void absent_lane(const double* x, double* y) {
  if (threadIdx.x % 32 != 5) y[threadIdx.x] = __shfl_xor_sync(all_lanes, x[threadIdx.x], 1);
}

__global__ void beyond_the_end(const double*, double* y) { y[threadIdx.x + 1] = 1; }

__global__ void reads_beyond_the_end(const double* x, double* y) { y[threadIdx.x] = x[threadIdx.x + 1]; }

class Order {
 public:
  explicit Order(const char* name) {
    if (const char* now = std::getenv(variable)) before_ = now;
    setenv(variable, name, 1);
  }
  ~Order() { setenv(variable, before_.c_str(), 1); }

 private:
  static constexpr auto variable = "ALINEA_EMULATION_ORDER";
  std::string before_ = "ascending";
};

}  // namespace

TEST_CASE("cuda: emulation: barriers, shuffles and reductions in every order of threads") {
  const auto x = numbers().values<double>();
  double sum = 0;
  for (const double v : x) sum += v;
  for (const char* order : {"ascending", "descending", "shuffled"}) {
    const Order use(order);
    const auto back = result(reverse<double>, true), reduced = result(reductions);
    for (int i = 0; i < n; ++i) {
      CHECK(back[size_t(i)] == x[size_t(n - 1 - i)]);
      const double largest = *std::max_element(x.begin() + i / 32 * 32, x.begin() + i / 32 * 32 + 32);
      CHECK(reduced[size_t(i)] == sum + 1e4 * largest + 1e6 * x[size_t(i % 8 == 0 ? i : i - 1)] + 0.5);
    }
  }
}

TEST_CASE("cuda: emulation: memory nobody has written is NaN, shared memory too") {
  const Order use("ascending");
  for (const double v : Context::cuda().empty({n}, DType::f32).values<double>()) CHECK(std::isnan(v));
  const Tensor x = numbers(), y = Context::cuda().empty({n}, DType::f64);
  for (int run = 0; run < 2; ++run) {
    launch(x.context(), "test", 1, n, n * sizeof(double), dynamic_shared, x.data<double>(), y.data<double>());
    for (const double v : y.values<double>()) CHECK(std::isnan(v));
    const auto racy = result(reverse<double>, false);        // in ascending order the first half reads what is not there yet
    for (int i = 0; i < n; ++i) CHECK(std::isnan(racy[size_t(i)]) == (i < n / 2));
  }
}

TEST_CASE("cuda: emulation: a race gives other results in another order") {
  auto racy = [](const char* order) {
    const Order use(order);
    return result(reverse<double>, false)[0];
  };
  CHECK(std::isnan(racy("ascending")));
  CHECK(racy("descending") == numbers().values<double>()[n - 1]);
}

TEST_CASE("cuda: emulation: barriers that some threads miss and shuffles among absent lanes are refused by name") {
  const std::string returned = problem(early_return), two = problem(two_barriers), absent = problem(absent_lane);
  CHECK(says(returned, "thread (40, 0, 0) has ended"));
  CHECK(says(returned, "early_return"));
  CHECK_MESSAGE(says(two, "two_barriers"), two);
  CHECK(says(absent, "has ended"));
  CHECK(says(absent, "absent_lane"));
  CHECK(result(reverse<double>, true)[0] == numbers().values<double>()[n - 1]);   // and the next kernel runs
}

TEST_CASE("cuda: emulation: writes outside a tensor are refused, reads give NaN") {
  CHECK(says(problem(beyond_the_end), "behind the last element of 768 bytes"));
  CHECK(std::isnan(result(reads_beyond_the_end)[n - 1]));
}

TEST_CASE("cuda: emulation: copies from pinned memory come late, those of tensors do not wait and come whole") {
  void* pinned = nullptr;
  check(cudaHostAlloc(&pinned, 4, cudaHostAllocDefault), "test");
  auto* number = static_cast<int32_t*>(pinned);
  const Tensor x = Context::cuda().empty({1}, DType::i32);
  const int64_t before = emulation::waits();
  *number = 1;
  check(cudaMemcpyAsync(x.data<int32_t>(), pinned, 4, cudaMemcpyHostToDevice, stream_of(x.context())), "test");
  *number = 2;                                               // too early
  CHECK(emulation::waits() == before);
  CHECK(x.values<int32_t>()[0] == 2);
  CHECK(emulation::waits() == before + 1);
  std::vector<int32_t> v{3};
  const Tensor y = Context::cuda().from(v.data(), {1});
  v[0] = 4;
  CHECK(emulation::waits() == before + 1);
  CHECK(y.values<int32_t>()[0] == 3);
}

TEST_CASE("cuda: launches that no GPU takes are refused") {
  Context& gpu = Context::cuda();
  const Tensor x = numbers();
  auto run = [&](Blocks blocks, dim3 threads, size_t shared) { launch(gpu, "test", blocks, threads, shared, dynamic_shared, x.data<double>(), x.data<double>()); };
  CHECK_THROWS_AS(run(1, 1025, 0), Error);
  CHECK_THROWS_AS(run(Blocks(1, 70000), 32, 0), Error);
  CHECK_THROWS_AS(run((int64_t(1) << 32) + 1, 32, 0), Error);
  CHECK_THROWS_AS(run(1, 32, 200 << 10), Error);
  CHECK_NOTHROW(run(1, n, 100 << 10));
  CHECK_NOTHROW(run(0, n, 0));
}

}  // namespace alinea::cuda
