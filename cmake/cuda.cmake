# embcodec._cuda: the kernels of cuda/*.cu in a library of their own, and a binding that never sees a CUDA header.

file(GLOB cuda_sources CONFIGURE_DEPENDS cuda/*.cu)
set(cuda_host_sources cuda/kmeans.cpp)
file(GLOB cuda_bindings CONFIGURE_DEPENDS cuda/bind/*.cpp)

function(embcodec_cuda_module target kernels)
  pybind11_add_module(${target} MODULE NO_EXTRAS ${cuda_bindings})
  target_link_libraries(${target} PRIVATE ${kernels} embcodec_flags)
  target_compile_options(${target} PRIVATE -O2)  # bindings: nothing to gain from -O3
  target_link_options(${target} PRIVATE LINKER:--exclude-libs,ALL)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME _cuda)
endfunction()

if(EMBCODEC_CUDA_ON_CPU)
  set(build_cuda OFF)  # its sources are C++ then
elseif(EMBCODEC_CUDA STREQUAL "AUTO")
  include(CheckLanguage)
  check_language(CUDA)
  set(build_cuda ${CMAKE_CUDA_COMPILER})
else()
  set(build_cuda ${EMBCODEC_CUDA})
endif()

if(build_cuda)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 100-real 120)
  endif()
  enable_language(CUDA)
  add_library(embcodec_cuda STATIC ${cuda_sources} ${cuda_host_sources})
  set_target_properties(embcodec_cuda PROPERTIES CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON CUDA_RUNTIME_LIBRARY Static
                                                 CUDA_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON)
  # --fmad=false: as -ffp-contract=off for the CPU. Registers that do not suffice are a warning of ptxas.
  set(cuda_flags --fmad=false --expt-relaxed-constexpr -Xfatbin=-compress-all -Xptxas=-warn-spills
                 -Xcompiler=-Wall,-Wextra)
  if(EMBCODEC_WERROR)
    list(APPEND cuda_flags -Werror=all-warnings -Xptxas=-Werror -Xcompiler=-Werror)
  endif()
  target_compile_options(embcodec_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${cuda_flags}>")
  embcodec_cuda_module(_cuda embcodec_cuda)
  set_target_properties(_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static)
  if(EMBCODEC_IN_TREE)
    set_target_properties(_cuda PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_SOURCE_DIR}/python/embcodec)
  endif()
  install(TARGETS _cuda LIBRARY DESTINATION embcodec)
endif()

if(EMBCODEC_CUDA_ON_CPU)
  set_source_files_properties(${cuda_sources} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++")
  add_library(embcodec_cuda_on_cpu STATIC ${cuda_sources} ${cuda_host_sources})
  target_compile_definitions(embcodec_cuda_on_cpu PRIVATE EMB_ON_CPU)
  target_include_directories(embcodec_cuda_on_cpu PRIVATE tests/cuda_on_cpu)
  target_link_libraries(embcodec_cuda_on_cpu PRIVATE embcodec_flags)
  embcodec_cuda_module(_cuda_on_cpu embcodec_cuda_on_cpu)
  target_sources(_cuda_on_cpu PRIVATE tests/cuda_on_cpu/machine.cpp)
endif()
