# The project's vocabulary: nw_library, nw_registry, nw_test, nw_mpi_test.

add_library(nw_flags INTERFACE)
target_compile_options(nw_flags INTERFACE
    -ffp-contract=off -fno-fast-math
    -Wall -Wextra -Wshadow -Wundef -Wvla -Wmissing-prototypes -Wstrict-prototypes)
target_compile_definitions(nw_flags INTERFACE _GNU_SOURCE NW_VERSION="${PROJECT_VERSION}")
if(NW_WERROR)
    target_compile_options(nw_flags INTERFACE -Werror)
endif()
if(NW_SANITIZE)
    # -O1 and line numbers alone: compiling takes half as long, and tests hardly longer
    target_compile_options(nw_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined
                           -fno-omit-frame-pointer -O1 -g1)
    target_link_options(nw_flags INTERFACE -fsanitize=address,undefined)
endif()
if(NW_FUZZ)
    target_compile_options(nw_flags INTERFACE -fsanitize=fuzzer-no-link -g)
endif()

# nw_library(NAME SOURCES... [DEPENDS libs...]): a static library that exports only its include/ folder.
function(nw_library name)
    cmake_parse_arguments(A "" "" "DEPENDS" ${ARGN})
    add_library(${name} STATIC ${A_UNPARSED_ARGUMENTS})
    target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(${name} PUBLIC ${A_DEPENDS} PRIVATE nw_flags)
endfunction()

# nw_registry(LIB TABLE TYPE HEADER NAMES...): the one list of a table folder. Generates TABLE.c with
#   extern const struct TYPE TYPE_NAME; ...   const struct TYPE *const TABLE[] = {&TYPE_NAME, ..., NULL};
# NAME.c in the calling folder is compiled into LIB and defines `const struct TYPE TYPE_NAME`.
function(nw_registry lib table type header)
    set(decls "")
    set(rows "")
    foreach(name IN LISTS ARGN)
        string(MAKE_C_IDENTIFIER ${name} id)
        target_sources(${lib} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/${name}.c)
        string(APPEND decls "extern const struct ${type} ${type}_${id};\n")
        string(APPEND rows "    &${type}_${id},\n")
    endforeach()
    file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${table}.c CONTENT
"/* Generated from the list in CMakeLists.txt. */
#include <stddef.h>
#include \"${header}\"
${decls}
const struct ${type} *const ${table}[] = {
${rows}    NULL,
};
")
    target_sources(${lib} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/${table}.c)
endfunction()

# nw_test(NAME SOURCE [LIBS libs...] [ARGS args...] [LABEL label] [TIMEOUT s]): a program that returns 0 when all checks pass.
function(nw_test name source)
    cmake_parse_arguments(A "" "LABEL;TIMEOUT" "LIBS;ARGS" ${ARGN})
    if(NOT TARGET ${name})
        add_executable(${name} ${source})
        target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
        target_link_libraries(${name} PRIVATE ${A_LIBS} nw_flags m)
        target_compile_definitions(${name} PRIVATE NW_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data" NW_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    endif()
    if(NOT A_LABEL)
        set(A_LABEL unit)
    endif()
    if(NOT A_TIMEOUT)
        set(A_TIMEOUT 120)
    endif()
    if(NW_SANITIZE)
        math(EXPR A_TIMEOUT "5 * ${A_TIMEOUT}") # sanitized code runs several times slower
    endif()
    add_test(NAME ${name} COMMAND ${name} ${A_ARGS})
    set_tests_properties(${name} PROPERTIES LABELS ${A_LABEL} TIMEOUT ${A_TIMEOUT})
    nw_test_environment(${name} NO_MPI)
endfunction()

# What tests under mpirun need wherever they run: root, more ranks than cores, waiting ranks that yield, quiet ASan. They
# stay on one machine: not looking for networks takes a sixth off each start.
set(NW_MPI_ENVIRONMENT
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
    OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_btl_vader_single_copy_mechanism=none
    OMPI_MCA_pml=ob1 OMPI_MCA_btl=^tcp,openib,ofi,uct,usnic OMP_NUM_THREADS=1)
# Stacks through the MPI library have no frame pointers and are slow to walk: NO_MPI tests need not (tests/lsan.supp).
function(nw_test_environment name)
    cmake_parse_arguments(A "NO_MPI" "" "" ${ARGN})
    set(env ${NW_MPI_ENVIRONMENT})
    if(NW_SANITIZE)
        list(APPEND env
            ASAN_OPTIONS=fast_unwind_on_malloc=$<BOOL:${A_NO_MPI}>:abort_on_error=0
            LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0
            UBSAN_OPTIONS=print_stacktrace=1)
    endif()
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "${env}")
endfunction()

# nw_mpi_test(NAME TARGET NP n... [ARGS args...] [TIMEOUT s] [LABEL label]): runs TARGET under mpirun at each rank count.
function(nw_mpi_test name target)
    cmake_parse_arguments(A "" "LABEL;TIMEOUT" "NP;ARGS" ${ARGN})
    if(NOT A_LABEL)
        set(A_LABEL mpi)
    endif()
    if(NOT A_TIMEOUT)
        set(A_TIMEOUT 120)
    endif()
    foreach(np IN LISTS A_NP)
        add_test(NAME ${name}-np${np}
                 COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${np} $<TARGET_FILE:${target}> ${A_ARGS})
        set_tests_properties(${name}-np${np} PROPERTIES LABELS ${A_LABEL} TIMEOUT ${A_TIMEOUT} PROCESSORS 2)
        nw_test_environment(${name}-np${np})
    endforeach()
endfunction()
